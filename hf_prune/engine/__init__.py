"""Images through models: one inference loop, results on disk by the content of each image."""
