"""How long the offline injection of 1,000 Deployments takes. Run as `make bench-inject`; COUNT changes how many."""

import os
import sys
import time

from agent.config.settings import Settings
from agent.inject.injection import Verdict
from agent.inject.manifests.offline import File, injected

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {pillion.dev/inject: enabled}}\n"
DEPLOYMENT = """\
# The deployment of orders-{n}.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: orders-{n}
  labels: {{app.kubernetes.io/name: orders-{n}, app.kubernetes.io/managed-by: helm}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app.kubernetes.io/name: orders-{n}}}
  template:
    metadata:
      labels:
        app.kubernetes.io/name: orders-{n}
        app.kubernetes.io/version: "1.0"
      annotations:
        pillion.dev/health-path: /healthz
        pillion.dev/versions: v1,v2
        prometheus.io/scrape: "true"
    spec:
      serviceAccountName: orders
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: app
          image: registry.example.com/orders:1.2.3
          imagePullPolicy: IfNotPresent
          args: ["--workers", "2"]
          env:
            - name: DEBUG
              value: "no"
            - name: DATABASE_HOST
              value: postgres
          ports:
            - name: http
              containerPort: 8000
          livenessProbe:
            httpGet: {{path: /healthz, port: http}}
          resources:
            requests: {{cpu: 100m, memory: 128Mi}}
          securityContext:
            allowPrivilegeEscalation: false
            capabilities: {{drop: [ALL]}}
          volumeMounts:
            - name: data
              mountPath: /data
      volumes:
        - name: data
          emptyDir: {{}}
"""


def main(count: int) -> None:
    """Inject, print the figure."""
    text = "---\n".join(DEPLOYMENT.format(n=n) for n in range(count))
    started, used = time.perf_counter(), time.process_time()
    done = injected([File("bench", text)], [File("namespace", NAMESPACE)], Settings())
    took, used = time.perf_counter() - started, time.process_time() - used
    if [one.verdict for one in done.entries] != [Verdict.INJECTED] * count:
        raise SystemExit("not every deployment was injected")
    sizes = f"{len(text) / 1e6:.1f} MB in, {len(done.text) / 1e6:.1f} MB out"
    sys.stdout.write(f"{count} deployments injected in {took:.2f} s, {used:.2f} s of CPU ({sizes})\n")


if __name__ == "__main__":
    main(int(os.environ.get("COUNT", "1000")))
