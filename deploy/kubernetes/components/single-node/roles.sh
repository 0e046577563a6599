# Sourced or executed once, when the database is made: a role for each service, which may make a
# schema of its own and sees no other's.
for role in user_management email_notification slack_notification; do
  variable="$(echo "$role" | tr '[:lower:]' '[:upper:]')_PASSWORD"
  psql -v ON_ERROR_STOP=1 -v role="$role" -v password="${!variable}" \
    -v database="$POSTGRES_DB" -U "${POSTGRES_USER:-postgres}" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE :"database" TO :"role";
SQL
done
