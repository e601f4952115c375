"""The learners: policies, their networks and training, and the registry of names."""

from h2rh_env.utils.moved import answer_old_names

answer_old_names()
