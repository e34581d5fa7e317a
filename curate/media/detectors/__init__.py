"""Scene detectors: one a file, fed frame by frame from the decode pass. See `curate.stage.Detector`."""
