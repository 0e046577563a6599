from rollcall_service.migrations import run_env

run_env("user_management")
