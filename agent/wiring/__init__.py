"""The composition root: settings become an ordered list of components. It reads like the start-up story.

Nothing else names a concrete class of another capability. What components share travels in the cells of
``base``, each with one writer; ``sidecar`` and ``gateway`` tell the two stories of an agent, which ``stories`` opens,
and ``injector`` that of the webhook, which loads nothing of an agent's. ``stopping`` is for who only starts an agent.
What has ``doctor`` in its name is what `pillion doctor` looks at.
"""
