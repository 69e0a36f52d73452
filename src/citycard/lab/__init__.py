# SPDX-License-Identifier: Apache-2.0
"""The whole city in one process: clock, people, faults, the demo, the simulation and the benchmarks."""
