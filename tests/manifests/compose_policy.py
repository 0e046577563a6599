"""What a platform team would send back: each rule gives a line for each thing that breaks it."""

import re
from collections.abc import Callable, Iterator

from manifests.compose_file import (
    Project,
    Service,
    environment,
    image,
    is_job,
    mounts,
)
from manifests.rendered import ROOT

# Nothing in these images can ask whether all is well: they hold one program and no other.
ONE_PROGRAM = {"otel-collector", "jaeger"}
_HIDDEN = re.compile(r"password|secret|token|credential|private", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"\w+://[^/\s@]*:[^/\s@]+@")
STAND_IN = {"SLACK_BOT_TOKEN": "none"}  # the Slack stand-in asks for some token and takes any


def healthy_or_a_job(project: Project) -> Iterator[str]:
    for name, service in _services(project):
        check = service.get("healthcheck", {})
        if is_job(service):
            if not check.get("disable"):
                yield f"{name}: a job has no health"
        elif name not in ONE_PROGRAM and "test" not in check:
            yield f"{name}: nothing tells whether it is well"
        elif isinstance(check.get("test"), str):
            yield f"{name}: its health check needs a shell"


def only_this_machine(project: Project) -> Iterator[str]:
    for name, service in _services(project):
        for port in service.get("ports", ()):
            if not str(port).startswith("127.0.0.1:"):
                yield f"{name}: the port {port} is open to others"
        if service.get("network_mode") == "host" or service.get("privileged"):
            yield f"{name}: is not apart from the host"
        yield from (f"{name}: reads {s} of the host" for s, _ in mounts(service) if s[0] in "/~")


def pinned(project: Project) -> Iterator[str]:
    for name, service in _services(project):
        repository, _, tag = image(service).rpartition(":")
        if not repository or tag == "latest":
            yield f"{name}: the image {image(service)} is any version"
        if image(service).startswith("rollcall/") != ("build" in service):
            yield f"{name}: our images are built here, and no other is"


def no_secret(project: Project) -> Iterator[str]:
    """Secrets are in files of volumes, or come from the environment of whoever starts this."""
    for name, service in _services(project):
        for variable, value in environment(service).items():
            hidden = _HIDDEN.search(variable) and not variable.endswith("_FILE")
            if hidden and value and STAND_IN.get(variable) != value:
                yield f"{name}: {variable} has a value"
            if variable.endswith("_FILE") and not value.startswith("/secrets/"):
                yield f"{name}: {variable} is not in a volume of secrets"
            if _WITH_PASSWORD.search(value):
                yield f"{name}: {variable} has a password in an address"


def confined(project: Project) -> Iterator[str]:
    for name, service in _services(project):
        if service.get("read_only") is not True:
            yield f"{name}: its root may be written"
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
            yield f"{name}: keeps capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", ()):
            yield f"{name}: may get new privileges"
        user = str(service.get("user", ""))
        ours = image(service).startswith("rollcall/")  # whose images name a user
        if not (user or ours) or user.startswith(("0", "root")):
            yield f"{name}: may be root"


def bounded(project: Project) -> Iterator[str]:
    for name, service in _services(project):
        limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
        yield from (f"{name}: no limit of {m}" for m in {"cpus", "memory", "pids"} - limits.keys())
        if "max-size" not in service.get("logging", {}).get("options", {}):
            yield f"{name}: its log has no end"
        for mount in service.get("tmpfs", ()):
            if "size=" not in mount:
                yield f"{name}: {mount} has no size"


def in_order(project: Project) -> Iterator[str]:
    """Whoever is waited for is there and well, not merely started."""
    services = dict(_services(project))
    for name, service in services.items():
        if "restart" not in service:
            yield f"{name}: does not say when it is started again"
        for other, wait in service.get("depends_on", {}).items():
            job = is_job(services[other])
            right = "service_completed_successfully" if job else "service_healthy"
            if wait["condition"] != right:
                yield f"{name}: waits for {other} to be {wait['condition']}"


def declared(project: Project) -> Iterator[str]:
    """Volumes and networks that are used are declared, all others are not, and files are there."""
    volumes, networks = set(), set()
    for name, service in _services(project):
        networks |= set(service.get("networks", ()))
        if not service.get("networks") and "network_mode" not in service:
            yield f"{name}: is in the network of all"
        for source, _ in mounts(service):
            if not source.startswith("./"):
                volumes.add(source)
            elif not (ROOT / source).exists():
                yield f"{name}: {source} is not there"
    for kind, used in (("volumes", volumes), ("networks", networks)):
        if used != project[kind].keys():
            yield f"{kind}: {sorted(used ^ project[kind].keys())} are declared or used alone"


def _services(project: Project) -> list[tuple[str, Service]]:
    return list(project["services"].items())


RULES: tuple[Callable[[Project], Iterator[str]], ...] = (
    healthy_or_a_job,
    only_this_machine,
    pinned,
    no_secret,
    confined,
    bounded,
    in_order,
    declared,
)
