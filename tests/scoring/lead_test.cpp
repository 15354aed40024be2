#include "scoring/lead.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate::scoring {
namespace {

TEST(Lead, ParsesWhatItPrints) {
  for (const char* name : {"next-token", "layer-1", "layer-2", "layer-31", "pre-attention"}) {
    EXPECT_EQ(lead_name(parse_lead(name)), name);
  }
  EXPECT_EQ(parse_lead("layer-3"), Lead::layer(3));
  EXPECT_EQ(parse_lead("next-token"), Lead::next_token());
  EXPECT_EQ(parse_lead("pre-attention"), Lead::pre_attention());
}

TEST(Lead, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"", "layer", "layer-", "layer-0", "layer--1", "layer-1x", "layer-H",
                           "layer-99999999999", "Next-token", "attention"}) {
    EXPECT_THROW(parse_lead(text), UsageError) << text;
  }
}

TEST(Lead, LayersBelowTheDistanceCannotBePredicted) {
  EXPECT_EQ(Lead::layer(2).first_layer(), 2);
  EXPECT_EQ(Lead::next_token().first_layer(), 0);
  EXPECT_EQ(Lead::pre_attention().first_layer(), 0);
  trace::Geometry geometry;
  geometry.num_moe_layers = 3;
  EXPECT_NO_THROW(require_lead_fits(Lead::layer(2), geometry));
  EXPECT_THROW(require_lead_fits(Lead::layer(3), geometry), UsageError);
}

}  // namespace
}  // namespace foregate::scoring
