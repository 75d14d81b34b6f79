"""Tells a fundus camera whether a retinal photograph is good enough, where it is not, and why."""
