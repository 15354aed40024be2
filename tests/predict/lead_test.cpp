#include "scoring/lead.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate::predict {
namespace {

TEST(Lead, ParsesWhatItPrints) {
  for (const char* name : {"next-token", "layer-1", "layer-2", "layer-31", "pre-attention"}) {
    EXPECT_EQ(scoring::lead_name(scoring::parse_lead(name)), name);
  }
  EXPECT_EQ(scoring::parse_lead("layer-3"), scoring::Lead::layer(3));
  EXPECT_EQ(scoring::parse_lead("next-token"), scoring::Lead::next_token());
  EXPECT_EQ(scoring::parse_lead("pre-attention"), scoring::Lead::pre_attention());
}

TEST(Lead, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "layer", "layer-", "layer-0", "layer--1", "layer-1x", "layer-H",
                           "layer-99999999999", "Next-token", "attention"}) {
    EXPECT_THROW(scoring::parse_lead(text), UsageError) << text;
  }
}

TEST(Lead, LayersBelowTheDistanceCannotBePredicted) {
  EXPECT_EQ(scoring::Lead::layer(2).first_layer(), 2);
  EXPECT_EQ(scoring::Lead::next_token().first_layer(), 0);
  EXPECT_EQ(scoring::Lead::pre_attention().first_layer(), 0);
  trace::Geometry geometry;
  geometry.num_moe_layers = 3;
  EXPECT_NO_THROW(scoring::require_lead_fits(scoring::Lead::layer(2), geometry));
  EXPECT_THROW(scoring::require_lead_fits(scoring::Lead::layer(3), geometry), UsageError);
}

}  // namespace
}  // namespace foregate::predict
