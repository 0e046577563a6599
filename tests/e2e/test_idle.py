"""What the platform costs while nobody asks anything of it."""

import psutil  # type: ignore[import-untyped]
from e2e.local_platform import Platform

MIB = 2**20


def test_memory_of_each_service_process(platform: Platform) -> None:
    replicas = [r for s in platform.status()["services"] for r in s["replicas"]]
    used = {r["id"]: psutil.Process(r["pid"]).memory_info().rss / MIB for r in replicas}
    assert {id_: round(size) for id_, size in used.items() if size > 120} == {}
