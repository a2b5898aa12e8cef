"""The one error of the learners."""


class LearnerError(ValueError):
    """A value that a learner cannot use; the message names the value and where it was found."""
