"""Property tests run the same examples every time, without a deadline and without an example file."""

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("house")
