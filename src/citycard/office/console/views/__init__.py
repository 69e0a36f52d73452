# SPDX-License-Identifier: Apache-2.0
"""The pages: each asks a module of `queries`, and shows its template."""
