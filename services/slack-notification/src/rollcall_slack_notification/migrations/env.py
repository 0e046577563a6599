from rollcall_service.migrations import run_env
from rollcall_slack_notification.settings import SCHEMA

run_env(SCHEMA)
