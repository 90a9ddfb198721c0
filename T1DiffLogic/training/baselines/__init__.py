"""The methods that T1Diff is compared with: four published rivals and two ablations (docs/baselines.md).

Networks are plain nn.Modules in files named after them; a method's file holds its losses and its
training steps.
"""
