"""One registered pair for eyes: a page with sliders, a picture for a paper, an animation."""
