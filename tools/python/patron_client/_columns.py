"""Columns that have the same number in every snapshot: protocol/WIRE.md, section 8.4."""

from __future__ import annotations

from typing import Dict

SCORE_NAMES: Dict[int, str] = {
    1: "repeat_purchase_count",
    2: "age_at_last_purchase_days",
    3: "observed_age_days",
    4: "days_since_last_purchase",
    5: "mean_order_value",
    6: "revenue",
    7: "margin",
    16: "probability_alive",
    17: "expected_purchases",
    18: "expected_order_value",
    19: "lifetime_value",
    20: "churn_probability",
    21: "simple_lifetime_value",
    22: "value_tier",
    23: "lifetime_churn_probability",
    28: "promotion_lift",
}

ROW_STATUS = 0xF001
ENTITY_ID = 0xF002
SCORE = 0xF003
PURCHASE_PROBABILITY = 0xF004
EXPECTED_MARGIN = 0xF005
AFFINITY_BASIS = 0xF006
PROMOTION_LIFT = 0xF007
SEGMENTATION = 0xF010
SEGMENT_ID = 0xF011
SEGMENT_CUSTOMER_COUNT = 0xF013
COLUMN_ID = 0xF020
COLUMN_NAME = 0xF021
COLUMN_TYPE = 0xF022
COLUMN_UNIT = 0xF023
COLUMN_DESCRIPTION = 0xF024
COLUMN_VALUE_NAMES = 0xF025
PROFILE_FEATURE = 0xF030
REFUSED_LINE, REFUSED_COLUMN, REFUSAL_REASON = 0xF090, 0xF091, 0xF092
LABEL, GENERATION, GENERATION_AS_OF_DAY = 0xF0A0, 0xF0A1, 0xF0A2
GENERATION_CUSTOMER_COUNT, GENERATION_BYTE_COUNT, GENERATION_MODELS = 0xF0A3, 0xF0A4, 0xF0A5
GENERATION_LABELS, GENERATION_STATE, GENERATION_PROBLEM = 0xF0A6, 0xF0A7, 0xF0A8
MODEL_NAME, MODEL_VERSION, MODEL_CHECKSUM = 0xF0A9, 0xF0AA, 0xF0AB
STAT_GROUP, STAT_NAME, STAT_VALUE, STAT_UNIT = 0xF0AC, 0xF0AD, 0xF0AE, 0xF0AF
SHADOW_COMPARED, SHADOW_DIFFERING = 0xF0B0, 0xF0B1
SHADOW_ONLY_CURRENT, SHADOW_ONLY_CANDIDATE = 0xF0B2, 0xF0B3
SHADOW_MEAN, SHADOW_LARGEST, SHADOW_MEDIAN = 0xF0B4, 0xF0B5, 0xF0B6
SHADOW_90, SHADOW_99 = 0xF0B7, 0xF0B8
SHADOW_FROM, SHADOW_TO, SHADOW_MOVE_COUNT = 0xF0B9, 0xF0BA, 0xF0BB
ERASURE_FOUND = 0xF0C0

PROTOCOL_NAMES: Dict[int, str] = {
    ROW_STATUS: "row_status",
    ENTITY_ID: "entity_id",
    SCORE: "score",
    PURCHASE_PROBABILITY: "purchase_probability",
    EXPECTED_MARGIN: "expected_margin",
    AFFINITY_BASIS: "affinity_basis",
    PROMOTION_LIFT: "promotion_lift",
    SEGMENTATION: "segmentation",
    SEGMENT_ID: "segment_id",
    0xF012: "segment_name",
    SEGMENT_CUSTOMER_COUNT: "segment_customer_count",
    0xF014: "segment_customer_share",
    0xF015: "segment_revenue",
    0xF016: "segment_revenue_share",
    0xF017: "segment_mean_lifetime_value",
    0xF018: "segment_mean_churn_probability",
    0xF019: "segment_margin",
    0xF01A: "segment_mean_expected_purchases",
    0xF01B: "segment_distinctions",
    COLUMN_ID: "column_id",
    COLUMN_NAME: "column_name",
    COLUMN_TYPE: "column_type",
    COLUMN_UNIT: "column_unit",
    COLUMN_DESCRIPTION: "column_description",
    COLUMN_VALUE_NAMES: "column_value_names",
    PROFILE_FEATURE: "profile_feature",
    0xF031: "profile_category",
    0xF032: "profile_mean",
    0xF033: "profile_index",
    0xF034: "profile_difference",
    0xF035: "profile_missing_share",
    0xF036: "profile_overall_mean",
    0xF050: "explain_value",
    0xF051: "explain_text",
    0xF052: "explain_segment_text",
    0xF053: "explain_next_text",
    0xF054: "explain_next_mean",
    0xF055: "explain_difference",
    0xF056: "explain_share",
    0xF080: "line_day",
    0xF081: "line_time",
    0xF082: "line_amount",
    0xF083: "line_margin",
    0xF084: "line_cost",
    0xF085: "line_quantity",
    0xF086: "line_order",
    0xF087: "line_product",
    0xF088: "line_category",
    0xF089: "line_promotion",
    0xF08A: "line_channel",
    REFUSED_LINE: "refused_line",
    REFUSED_COLUMN: "refused_column",
    REFUSAL_REASON: "refusal_reason",
    0xF0A0: "label",
    0xF0A1: "generation",
    0xF0A2: "generation_as_of_day",
    0xF0A3: "generation_customer_count",
    0xF0A4: "generation_byte_count",
    0xF0A5: "generation_models",
    0xF0A6: "generation_labels",
    0xF0A7: "generation_state",
    0xF0A8: "generation_problem",
    0xF0A9: "model_name",
    0xF0AA: "model_version",
    0xF0AB: "model_checksum",
    0xF0AC: "stat_group",
    0xF0AD: "stat_name",
    0xF0AE: "stat_value",
    0xF0AF: "stat_unit",
    0xF0B0: "shadow_compared",
    0xF0B1: "shadow_differing",
    0xF0B2: "shadow_only_current",
    0xF0B3: "shadow_only_candidate",
    0xF0B4: "shadow_mean_difference",
    0xF0B5: "shadow_largest_difference",
    0xF0B6: "shadow_median_difference",
    0xF0B7: "shadow_difference90",
    0xF0B8: "shadow_difference99",
    0xF0B9: "shadow_from",
    0xF0BA: "shadow_to",
    0xF0BB: "shadow_move_count",
    ERASURE_FOUND: "erasure_found",
}

#: All others are a snapshot's own: their names are in DESCRIBE.
KNOWN_NAMES: Dict[int, str] = {**SCORE_NAMES, **PROTOCOL_NAMES}
