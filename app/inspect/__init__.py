"""What is inside a model: histograms, rounding errors, outliers, types suggested by measured sensitivity."""
