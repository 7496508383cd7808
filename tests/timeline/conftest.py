from support.small_bundle import bundle, predictor, spoken

__all__ = ["bundle", "predictor", "spoken"]
