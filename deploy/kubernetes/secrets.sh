#!/usr/bin/env bash
# Makes the secrets that the manifests refer to, those that are missing, and changes none:
#
#   SMTP_URL=smtp://… SLACK_BOT_TOKEN=xoxb-… deploy/kubernetes/secrets.sh NAMESPACE
#
# Passwords are random. They go to kubectl by its standard input and are never printed.
set -euo pipefail
: "${SMTP_URL:?give smtp:// or smtps://[user:password@]host[:port]}"
: "${SLACK_BOT_TOKEN:?give the token of a bot, xoxb-…}"
namespace=${1:?give the namespace, rollcall or rollcall-dev}

random() { od -An -v -N24 -tx1 /dev/urandom | tr -d ' \n'; }

# secret NAME TYPE, its data as lines of YAML on standard input
secret() {
  local found
  found=$(kubectl --namespace "$namespace" get secret "$1" --ignore-not-found --output name)
  if [ -n "$found" ]; then
    echo "$1: there already"
    return
  fi
  {
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\n' "$1"
    printf '  labels: {cnpg.io/reload: "true"}\ntype: %s\nstringData:\n' "$2"
    cat
  } | kubectl --namespace "$namespace" create --filename -
}

# quoted VALUE, for YAML
quoted() { printf "'%s'" "${1//\'/\'\'}"; }

for service in user-management email-notification slack-notification; do
  role=${service//-/_}
  password=$(random)
  secret "postgres-$service" kubernetes.io/basic-auth <<DATA
  username: $role
  password: $password
  uri: postgresql://$role:$password@postgres-rw:5432/rollcall
DATA
done
secret postgres-superuser Opaque <<<"  password: $(random)"  # in dev alone
secret token-secret Opaque <<<"  secret: $(random)"
secret smtp Opaque <<<"  url: $(quoted "$SMTP_URL")"
secret slack Opaque <<<"  token: $(quoted "$SLACK_BOT_TOKEN")"
