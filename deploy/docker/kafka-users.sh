#!/usr/bin/env bash
# Kafka's users and what each may do: as deploy/kubernetes/components/strimzi/users.yaml, and the
# operator's command. Run at each start: what is there is brought up to date.
set -euo pipefail

tool() { "/opt/kafka/bin/$1.sh" --bootstrap-server localhost:9094 "${@:2}" >/dev/null; }
users=(user-management email-notification slack-notification cli)

# In files, so that no password is on a command line.
for user in "${users[@]}"; do
  printf 'SCRAM-SHA-512=password=%s\n' "$(cat "/secrets/$user")" >/tmp/scram
  tool kafka-configs --alter --entity-type users --entity-name "$user" --add-config-file /tmp/scram
  rm /tmp/scram
done

allow() { tool kafka-acls --add "${@/#User:/--allow-principal=User:}"; }
allow "${users[@]/#/User:}" --topic users --operation Describe --operation Read
allow User:user-management User:cli --topic users --operation Write
allow User:user-management --group user-management --resource-pattern-type prefixed --operation Describe --operation Read
for user in email-notification slack-notification; do
  allow "User:$user" --group "$user" --operation Describe --operation Read
done
