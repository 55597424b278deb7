"""Fixed seeds, and no deadlines: a timed test fails for the machine's reasons, not ours."""

from hypothesis import settings

settings.register_profile("keeper", deadline=None, derandomize=True)
settings.load_profile("keeper")
