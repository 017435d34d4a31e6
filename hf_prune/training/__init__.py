"""Trainings of image classifiers that leave behind what metrics need: teachers, subset runs and their records."""
