"""The injector: pods of the mesh can't be created without it."""

from agent.metrics import ask
from agent.metrics.ask import INSTANCE, SERVICE
from agent.metrics.families import injector
from agent.metrics.rules.declare import Rule, Severity, on

ALL = (
    Rule(
        "PillionInjectorAway",
        values=(ask.gathered("max", SERVICE, ask.select(injector.READY)),),
        holds="== 0",
        wait="1m",
        severity=Severity.CRITICAL,
        summary=f"No replica of {on(SERVICE)} answers reviews",
        description=(
            "No replica has a valid certificate that the API server trusts. Pods that are to be in the mesh can't be "
            "created; those that run are not touched."
        ),
        do="`/readyz` of a replica names the reason; its log says what the API server answered.",
        why="Longer than a start and a repair of the CA take.",
    ),
    Rule(
        "PillionInjectorNotReady",
        values=(ask.select(injector.READY),),
        holds="== 0",
        wait="5m",
        severity=Severity.WARNING,
        summary=f"{on(INSTANCE)} does not answer reviews",
        description="This replica of the injector is not ready; the others answer for it.",
        do="`/readyz` names the reason; its log says what the API server answered.",
        why="Longer than a start and a drain take.",
    ),
    Rule(
        "PillionReviewsFailing",
        values=(
            ask.gathered(
                "sum", SERVICE, ask.increase(injector.REVIEWS, 'result=~"failed|malformed"', over="5m")
            ),
        ),
        holds="> 0",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"{on(SERVICE)} could not answer reviews",
        description=(
            "The injector could not read a pod's namespace, got what is no review, or has a defect. The pod was not "
            "created; its controller tries again."
        ),
        do="Read the injector's log for `review.failed` and `review.defect`.",
        why="A wrong annotation is counted as refused, not here: none of these is a pod author's mistake.",
    ),
    Rule(
        "PillionInjectorCertificateEnds",
        values=(f"{ask.select(injector.EXPIRES)} - time()",),
        holds="< 21600",
        wait="5m",
        severity=Severity.CRITICAL,
        summary=f"The certificate of {on(INSTANCE)} ends in less than six hours",
        description=(
            "It was not replaced in time. Once it has ended, pods that are to be in the mesh can't be created."
        ),
        do=(
            "`/readyz` and the log say what can't be written or read: the Secret, or the files of "
            "`webhook.cert_file`; with cert-manager look at its Certificate."
        ),
        why="The injector replaces its own with twelve hours left, cert-manager with a third of the life left.",
        only=f"and {ask.select(injector.EXPIRES)} > 0",
    ),
    Rule(
        "PillionInjectorCaContested",
        values=(ask.gathered("sum", SERVICE, ask.increase(injector.REPAIRS, over="15m")),),
        holds="> 5",
        wait="0s",
        severity=Severity.WARNING,
        summary=f"Another program changes the CA of {on(SERVICE)}",
        description=(
            "The CA was written into the webhook configuration more than five times in a quarter of an hour: "
            "something takes it out again, and reviews fail in between."
        ),
        do=(
            "Keep the other program from `clientConfig.caBundle` (Argo CD: `ignoreDifferences`; cert-manager: no "
            "inject annotation), or set `webhook.certificate: files`."
        ),
        why="Each replica writes it once at a start, and at a rotation.",
    ),
    Rule(
        "PillionSweepStands",
        values=(f"time() - {ask.gathered('max', SERVICE, ask.select(injector.LOOKED))}",),
        holds="> 300",
        wait="2m",
        severity=Severity.WARNING,
        summary=f"Nobody removes from Consul what dead pods of {on(SERVICE)} left",
        description=(
            "No replica has looked for it in five minutes. Instances whose pods were killed stay listed as passing; "
            "callers try them and go on to others."
        ),
        do="Read the log of the replicas: `sweep.failed` and `leader.changed` say what the others answered.",
        why="A look comes every 20 seconds; a change of the leader takes less than a minute.",
    ),
)
