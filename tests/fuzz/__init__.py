# SPDX-License-Identifier: Apache-2.0
"""Coverage-guided fuzzing with atheris, run by hand for long and by the test suite for moments."""
