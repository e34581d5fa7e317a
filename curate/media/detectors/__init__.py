"""Scene detectors: one a file, fed with every frame of the decode pass. See `curate.stage.Detector`."""
