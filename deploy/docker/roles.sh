#!/usr/bin/env bash
# A role for each service, which may make a schema of its own and sees no other's. Run at each
# start: what is there is brought up to date. Passwords are read by psql and are on no command line.
set -euo pipefail
PGPASSWORD=$(cat /secrets/postgres)
export PGPASSWORD
for ROLE in user_management email_notification slack_notification; do
  export ROLE
  psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -v role="$ROLE" <<'SQL'
\set password `cat "/secrets/$ROLE"`
SELECT format('CREATE ROLE %I', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN PASSWORD :'password';
REVOKE ALL ON DATABASE :"DBNAME" FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE :"DBNAME" TO :"role";
SQL
done
