from support.small_bundle import bundle, bundle_folder, predictor, spoken

__all__ = ["bundle", "bundle_folder", "predictor", "spoken"]
