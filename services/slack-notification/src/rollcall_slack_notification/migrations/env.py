from rollcall_slack_notification.settings import SCHEMA
from rollcall_service.migrations import run_env

run_env(SCHEMA)
