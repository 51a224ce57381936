"""compose.yaml, the image and the configurations beside it say the same; no container engine is needed to see that."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import pytest

from gateway.settings import PREFIX, Settings
from tests.deployment import COMPOSE, HAPROXY, INSIDE, MOSQUITTO, ROOT, WANTED, adapted, environment

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = ("gateway-1", "gateway-2")
GIVEN = {
    "PETSTORE_JWT_SECRET": "0" * 64,
    "POSTGRES_PASSWORD": "of-postgres",
    "MQTT_BROKER_PASSWORD": "of-the-broker",
}


def strings(value: object) -> Iterator[str]:
    """Every text within."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    else:
        yield str(value)


def address(name: str) -> SplitResult:
    """An address that the nodes are given."""
    return urlsplit(environment(NODES[0], **GIVEN)[f"{PREFIX}{name}"])


def needed_by(name: str) -> set[str]:
    """What must be well, or done, before a service starts."""
    found: set[str] = set()
    for needed, wanted in SERVICES[name].get("depends_on", {}).items():
        ends = SERVICES[needed].get("restart") == "no"
        expected = "service_completed_successfully" if ends else "service_healthy"
        assert wanted["condition"] == expected, f"{name} needs {needed}"
        found |= {needed, *needed_by(needed)}
    return found


def published(name: str) -> dict[int, tuple[str, int]]:
    """The ports of a service that the host has: inside to (address, port) outside."""
    ports = (mapping.split(":") for mapping in SERVICES[name].get("ports", ()))
    return {int(inside): (host, int(outside)) for host, outside, inside in ports}


@pytest.mark.parametrize("name", [*NODES, "migrate"])
def test_what_the_gateway_is_told_is_a_setting_and_can_be_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = environment(name, **GIVEN)
    told |= dict(re.findall(rf"({PREFIX}\w+)=(\S+)", DOCKERFILE))
    assert {variable.removeprefix(PREFIX).lower() for variable in told} <= set(Settings.model_fields)
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    settings = Settings(_env_file=None)
    assert settings.several_processes is not None
    assert settings.mqtt_broker is not None
    assert (settings.port, settings.grpc_port, settings.mqtt_port) == (INSIDE.http, INSIDE.grpc, INSIDE.mqtt)


def test_both_nodes_are_alike_and_migrate_has_what_they_have() -> None:
    first, second = (SERVICES[name] for name in NODES)
    assert first | {"hostname": ""} == second | {"hostname": ""}
    assert SERVICES["migrate"]["environment"] == first["environment"]
    assert SERVICES["migrate"]["image"] == first["image"]


def test_no_secret_has_a_value_until_somebody_gives_it() -> None:
    for text in strings(COMPOSE):
        assert "${" not in WANTED.sub("", text), f"it has a default, or may be missing: {text}"
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable or "SECRET" in variable:
                assert WANTED.fullmatch(str(value)), variable
            elif (password := urlsplit(str(value)).password) is not None:
                assert WANTED.search(str(value)), f"{variable}: {password}"
    wanted = {name for text in strings(COMPOSE) for name in WANTED.findall(text)}
    assert wanted == set(GIVEN)


def test_every_service_tells_whether_it_is_well_and_who_needs_it_waits_for_that() -> None:
    for name, service in SERVICES.items():
        if service.get("restart") == "no":
            continue
        of_the_image = service["image"] == SERVICES["migrate"]["image"] and "\nHEALTHCHECK " in DOCKERFILE
        assert of_the_image or service["healthcheck"]["test"], name
    for name in NODES:
        environment = SERVICES[name]["environment"]
        urls = (
            value
            for key, value in environment.items()
            if "://" in str(value) and key != "PETSTORE_PUBLIC_URL"
        )
        hosts = {urlsplit(WANTED.sub("given", url)).hostname for url in urls}
        assert hosts == {"postgres", "redis", "mosquitto"}
        assert hosts <= needed_by(name)
    assert set(NODES) <= needed_by("proxy")


def test_the_proxy_the_image_and_the_host_agree_on_ports() -> None:
    inside = set(vars(INSIDE).values())
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    assert {int(port) for port in exposed[1].split()} == inside
    assert {int(port) for port in re.findall(r"^ +bind :(\d+)", HAPROXY, re.MULTILINE)} == inside
    assert set(published("proxy")) == inside
    servers = re.findall(r"^ +server (\S+) (\S+):(\d+)", HAPROXY, re.MULTILINE)
    assert {(name, host) for name, host, _ in servers} == {(name, name) for name in NODES}
    assert {int(port) for _, _, port in servers} == inside
    for name in NODES:
        assert not published(name)
        assert SERVICES[name]["hostname"] == name


def test_what_the_host_has_is_for_this_machine_alone() -> None:
    taken = [place for name in SERVICES for place in published(name).values()]
    assert {host for host, _ in taken} == {"127.0.0.1"}
    assert len(set(taken)) == len(taken)


def bytes_of(size: str) -> int:
    """A size as compose and Redis write it."""
    number, unit = re.fullmatch(r"(\d+)([mg])b?", size, re.IGNORECASE).groups()  # type: ignore[union-attr]
    return int(number) * {"m": 2**20, "g": 2**30}[unit.lower()]


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_changes_nothing_but_its_volumes_and_gains_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"cap_add", "privileged", "pid", "network_mode", "devices"} & service.keys()
    assert bytes_of(service["mem_limit"]) <= 2**30
    # Without capabilities root could not become anybody else. HAProxy's image has a user of its own.
    assert service.get("user", "") not in {"root", "0", "0:0"}
    if service["image"] == SERVICES["migrate"]["image"]:
        assert re.search(r"^USER petstore$", DOCKERFILE, re.MULTILINE)
    else:
        assert "user" in service or name == "proxy"
    mounted = {volume.split(":")[1] for volume in service.get("volumes", ())} | set(service.get("tmpfs", ()))
    for place in {*NODES, "migrate"} & {name}:
        assert {"/data", "/tmp"} <= mounted, place


def test_what_the_parts_may_hold_fits_in_their_memory() -> None:
    service = SERVICES["redis"]
    most = service["command"][service["command"].index("--maxmemory") + 1]
    assert bytes_of(most) < bytes_of(service["mem_limit"])
    assert bytes_of(SERVICES["postgres"]["shm_size"]) < bytes_of(SERVICES["postgres"]["mem_limit"])
    most_of_all, *of_frontends = map(int, re.findall(r"^ +maxconn (\d+)$", HAPROXY, re.MULTILINE))
    assert len(of_frontends) == len(re.findall(r"^frontend ", HAPROXY, re.MULTILINE))
    assert sum(of_frontends) <= most_of_all
    assert SERVICES["proxy"]["ulimits"]["nofile"] > 2 * most_of_all
    # A connection has a buffer of 16 KiB in each direction.
    assert most_of_all * 2 * 16 * 1024 < bytes_of(SERVICES["proxy"]["mem_limit"])


def test_nodes_trust_the_proxy_s_address_alone_which_nobody_else_is_given() -> None:
    ((network, place),) = SERVICES["proxy"]["networks"].items()
    trusted = ip_address(environment(NODES[0], **GIVEN)[f"{PREFIX}TRUSTED_PROXIES"])
    assert str(trusted) == place["ipv4_address"]
    (range_of,) = COMPOSE["networks"][network]["ipam"]["config"]
    assert trusted in ip_network(range_of["subnet"])
    assert trusted not in ip_network(range_of["ip_range"])
    assert ip_network(range_of["ip_range"]).subnet_of(ip_network(range_of["subnet"]))  # type: ignore[arg-type]
    others = {name for name, service in SERVICES.items() if network in service["networks"]}
    assert others == {"proxy", *NODES}
    mqtt = HAPROXY.split("\nbackend mqtt_gateways\n")[1]
    assert "send-proxy-v2" in mqtt
    assert environment(NODES[0], **GIVEN)[f"{PREFIX}MQTT_PROXY_PROTOCOL"] == "true"


def test_volumes_networks_and_files_are_there() -> None:
    named, files = set(), []
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                files.append(ROOT / source)
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])
    assert files
    assert all(path.is_file() for path in files)
    images = next(volume for volume in SERVICES[NODES[0]]["volumes"])
    assert f"\nVOLUME {images.partition(':')[2]}\n" in DOCKERFILE


def test_the_broker_listens_and_keeps_its_files_where_compose_says() -> None:
    service = SERVICES["mosquitto"]
    listeners = [int(port) for port in re.findall(r"^listener (\d+)", MOSQUITTO, re.MULTILINE)]
    assert listeners == [address("MQTT_BROKER_URL").port]
    assert list(published("mosquitto")) == listeners
    assert address("MQTT_BROKER_URL").password == GIVEN["MQTT_BROKER_PASSWORD"]
    assert 'gateway "$$MQTT_BROKER_PASSWORD"' in service["command"][2]
    assert address("MQTT_BROKER_URL").username == "gateway"
    kept = re.search(r"^plugin_opt_config_file (.*)$", MOSQUITTO, re.MULTILINE)
    assert kept is not None
    assert f"accounts={kept[1]}\n" in service["command"][2]
    places = [volume.split(":")[1] for volume in service["volumes"]]
    persistence = re.search(r"^persistence_location (.*)/$", MOSQUITTO, re.MULTILINE)
    assert persistence is not None
    assert {persistence[1], kept[1].rpartition("/")[0]} <= set(places)


def test_a_stop_leaves_the_proxy_time_to_notice_and_streams_time_to_leave() -> None:
    settings = {
        name: float(value) for name, value in environment(NODES[0], **GIVEN).items() if "SECONDS" in name
    }
    notice = settings[f"{PREFIX}DRAIN_NOTICE_SECONDS"]
    checks = re.search(r"check inter (\d+)s fall (\d+)", HAPROXY)
    assert checks is not None
    assert notice > int(checks[1]) * int(checks[2])
    drain = Settings.model_fields["drain_seconds"].default
    grace = timedelta(seconds=int(SERVICES[NODES[0]]["stop_grace_period"].removesuffix("s")))
    assert grace > timedelta(seconds=notice + drain)


def test_a_file_that_no_longer_has_what_is_changed_here_is_no_longer_run() -> None:
    with pytest.raises(ValueError, match="bind :8080"):
        adapted(HAPROXY.replace("bind :8080", "bind :80"), {"bind :8080": "bind 127.0.0.1:1"})


def test_the_images_can_be_named_by_what_they_are_with_one_command(tmp_path: Path) -> None:
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    digests = {"first": "1" * 64, "again": "2" * 64}
    for name in ("compose.yaml", "Dockerfile"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for digest in digests.values():
        asked = 'test "$*" = "buildx imagetools inspect $4 --format {{.Manifest.Digest}}"'
        docker.write_text(f"#!/bin/sh\nset -eu\n{asked}\necho sha256:{digest}\n")
        docker.chmod(0o755)
        path = f"{docker.parent}:{os.environ['PATH']}"
        subprocess.run(
            ["sh", ROOT / "deploy" / "pin-images.sh"], cwd=tmp_path, env={"PATH": path}, check=True
        )
        for name in ("compose.yaml", "Dockerfile"):
            pinned = (tmp_path / name).read_text(encoding="utf-8")
            named = re.findall(r"^(?: *image:|FROM) (\S+:\S+)", pinned, re.MULTILINE)
            assert named
            assert all(image.endswith(f"@sha256:{digest}") for image in named)
            assert pinned.replace(f"@sha256:{digest}", "") == (ROOT / name).read_text(encoding="utf-8")


def test_the_builder_gets_what_the_image_is_built_from_and_nothing_else() -> None:
    copied = " ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)).split()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / source).exists() for source in copied)
    assert {source.split("/")[0] for source in copied} == {
        line[1:] for line in ignored if line.startswith("!")
    }
