# SPDX-License-Identifier: Apache-2.0
"""What tests share: the parts of the world outside that some of them need."""
