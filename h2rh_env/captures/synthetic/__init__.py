"""Captures made in code: someone holds out a household object before eight RGB-D cameras."""
