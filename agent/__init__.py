"""The GitOps agent: one pipeline from a Git repository to a converged host."""

__version__ = "0.1.0"
