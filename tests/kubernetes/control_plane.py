"""A real etcd and a real kube-apiserver, alone: enough for admission, RBAC, watches and leases."""

import asyncio
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.config.secret import Secret
from agent.demo.backing import free_port
from agent.inject.certificates import making
from agent.inject.cluster.access import Access
from agent.inject.cluster.client import Client
from agent.inject.cluster.kinds import NAMESPACES, Kind
from agent.runtime.errors import PillionError

CACHE = Path.home() / ".cache" / "pillion-cluster" / "bin"
"""Where a cluster that was built from source leaves its programs."""
ACCOUNT = "system:serviceaccount:pillion:pillion-injector"
ROLES = Kind("rbac.authorization.k8s.io", "v1", "roles")
BINDINGS = Kind("rbac.authorization.k8s.io", "v1", "rolebindings")
CLUSTER_ROLES = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)
CLUSTER_BINDINGS = Kind("rbac.authorization.k8s.io", "v1", "clusterrolebindings", namespaced=False)


def find(name: str) -> Path | None:
    """A program: its PILLION_BIN_ variable, on PATH, or in the cluster's cache."""
    chosen = os.environ.get("PILLION_BIN_" + name.upper().replace("-", "_")) or shutil.which(name)
    cached = CACHE / name
    return Path(chosen) if chosen else cached if cached.exists() else None


def missing() -> str:
    """Which program is not there; empty when all are."""
    absent = [name for name in ("etcd", "kube-apiserver") if find(name) is None]
    return f"no {' and no '.join(absent)} on PATH or in {CACHE}" if absent else ""


class ControlPlane:
    """One API server with an etcd of its own, in a folder; tokens say who asks."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._etcd = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a pod would have in its environment."""
        return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}

    @property
    def account(self) -> Path:
        """The folder of the injector's service account."""
        return self.folder / "account"

    @property
    def audit(self) -> Path:
        """The log of all questions, a JSON line each."""
        return self.folder / "audit.log"

    def admin(self) -> Client:
        """A client that may do everything."""
        return Client(Access(self.url, Secret("admin", "admin-token"), str(self.account / "ca.crt")))

    def injector(self) -> Client:
        """A client that may do what the injector may."""
        return Client(Access(self.url, Secret("injector", "injector-token"), str(self.account / "ca.crt")))

    async def start(self) -> None:
        """Start both and wait until the API server is ready."""
        self._write()
        peer = free_port()
        client, peers = f"http://127.0.0.1:{self._etcd}", f"http://127.0.0.1:{peer}"
        self._run(
            "etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--log-level", "error",
            "--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peers,
            "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
        )  # fmt: skip
        await self._until(lambda: urllib.request.urlopen(f"{client}/health", timeout=1).status == 200, 30)
        await self.start_api()

    async def start_api(self) -> None:
        """Start the API server alone, on the same etcd."""
        at = self.folder
        self._run(
            "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{self._etcd}",
            "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
            "--secure-port", str(self.port), "--endpoint-reconciler-type", "none",
            "--service-cluster-ip-range", "10.0.0.0/24", "--authorization-mode", "RBAC",
            "--disable-admission-plugins", "ServiceAccount", "--token-auth-file", str(at / "tokens.csv"),
            "--tls-cert-file", str(at / "server.crt"), "--tls-private-key-file", str(at / "server.key"),
            "--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
            "--service-account-signing-key-file", str(at / "sa.key"),
            "--service-account-key-file", str(at / "sa.pub"),
            "--audit-policy-file", str(at / "policy.yaml"), "--audit-log-path", str(self.audit),
        )  # fmt: skip
        async with self.admin() as client:
            ends = time.monotonic() + 90
            while True:
                try:
                    await client.get(NAMESPACES, "default")
                    if await client._whole("GET", "/readyz") == b"ok":  # its own roles are there, too
                        break
                except PillionError as error:
                    if time.monotonic() > ends or self._processes[-1].poll() is not None:
                        raise AssertionError(
                            f"no API server: {error}; {self._said('kube-apiserver')}"
                        ) from error
                    await asyncio.sleep(0.2)

    def stop_api(self) -> None:
        """End the API server alone."""
        process = self._processes.pop()
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End all that was started."""
        while self._processes:
            self.stop_api()

    async def grant(self, own: list[dict[str, Any]], cluster: list[dict[str, Any]]) -> None:
        """Give the injector's account these rules: a Role in its namespace, and a ClusterRole."""
        subject = {"kind": "User", "name": ACCOUNT, "apiGroup": "rbac.authorization.k8s.io"}
        meta = {"name": "pillion-injector", "namespace": "pillion"}
        async with self.admin() as client:
            for role, binding, rules, metadata in (
                (ROLES, BINDINGS, own, meta),
                (CLUSTER_ROLES, CLUSTER_BINDINGS, cluster, {"name": "pillion-injector"}),
            ):
                place = metadata.get("namespace", "")
                kind = "Role" if place else "ClusterRole"
                await client.create(role, {"metadata": metadata, "rules": rules}, place)
                ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "pillion-injector"}
                await client.create(
                    binding, {"metadata": metadata, "roleRef": ref, "subjects": [subject]}, place
                )

    def _write(self) -> None:
        now = datetime.now(UTC)
        ca = making.authority(now, timedelta(days=1))
        server = making.serving(ca, ["127.0.0.1", "localhost"], now, timedelta(days=1))
        key = rsa.generate_private_key(65537, 2048)
        self.account.mkdir()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}
        policy["omitStages"] = ["RequestReceived", "ResponseStarted"]
        tokens = (
            f'admin-token,admin,1,"system:masters"\ninjector-token,{ACCOUNT},2,"system:serviceaccounts"\n'
        )
        for path, content in {
            "account/ca.crt": ca.certificate,
            "account/token": b"injector-token",
            "account/namespace": b"pillion",
            "server.crt": server.certificate,
            "server.key": server.key,
            "sa.key": private,
            "sa.pub": public,
            "tokens.csv": tokens.encode(),
            "policy.yaml": yaml.safe_dump(policy).encode(),
        }.items():
            file = self.folder / path
            file.touch(mode=0o600)
            file.write_bytes(content)

    def _run(self, name: str, *arguments: str) -> None:
        program = find(name)
        assert program is not None, missing()
        with (self.folder / f"{name}.log").open("ab") as out:
            self._processes.append(subprocess.Popen([program, *arguments], stdout=out, stderr=out))

    async def _until(self, condition: Callable[[], bool], within: float) -> None:
        ends = time.monotonic() + within
        while True:
            try:
                if await asyncio.to_thread(condition):
                    return
            except OSError:
                pass
            assert time.monotonic() < ends, self._said("etcd")
            await asyncio.sleep(0.1)

    def _said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-2000:]
