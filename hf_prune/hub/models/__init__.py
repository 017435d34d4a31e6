"""Publish trained models and fitted prototypes."""
