"""Recipes: pruning, recovering and quantizing as the steps of one job, planned before it runs and resumed after
anything.
"""
