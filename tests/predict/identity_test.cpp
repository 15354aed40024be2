#include "predict/training/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/json.h"

namespace foregate::predict {
namespace {

using ::testing::HasSubstr;

Json identity() {
  return {{"predictor", "transition"},
          {"model", {{"name", "m"}, {"config_sha256", "c"}, {"weights_sha256", "w"}}},
          {"live",
           {{"data",
             {{{"name", "a"}, {"texts", 3}, {"sha256", "x"}},
              {{"name", "b"}, {"texts", 4}, {"sha256", "y"}}}},
            {"tokenizer_sha256", "t"}}},
          {"seed", 1}};
}

std::string words(const Json& now) {
  const IdentityDifference difference = identity_difference(identity().dump(), now.dump());
  EXPECT_FALSE(difference.unknown);
  // An unfinished training has the same behind its label.
  const Json before = {{"what", "transition at layer-1" + identity().dump()}};
  const Json after = {{"what", "transition at layer-1" + now.dump()}};
  EXPECT_EQ(identity_difference(before.dump(), after.dump()).words.empty(),
            difference.words.empty());
  return difference.words;
}

TEST(Identity, DifferencesAreToldInWords) {
  EXPECT_EQ(words(identity()), "");
  Json now = identity();
  now["model"]["weights_sha256"] = "v";
  EXPECT_EQ(words(now), "the model has other weights");
  now = identity();
  now["model"]["config_sha256"] = "v";
  EXPECT_EQ(words(now), "config.json of the model has changed");
  now = identity();
  now["live"]["tokenizer_sha256"] = "v";
  EXPECT_EQ(words(now), "tokenizer.json of the model has changed");
  now = identity();
  now["live"]["data"][1]["sha256"] = "v";
  EXPECT_EQ(words(now), "dataset 'b' has other texts");
  now = identity();
  now["seed"] = 2;
  EXPECT_EQ(words(now), "seed: 1 there, 2 asked for");
}

TEST(Identity, DigestsThatOneLacksAreNotCompared) {
  Json older = identity();
  older["model"].erase("weights_sha256");
  for (Json& dataset : older["live"]["data"]) dataset.erase("sha256");
  const IdentityDifference same = identity_difference(older.dump(), identity().dump());
  EXPECT_EQ(same.words, "");
  EXPECT_TRUE(same.unknown);
  older["seed"] = 2;
  EXPECT_THAT(identity_difference(older.dump(), identity().dump()).words, HasSubstr("seed"));
}

}  // namespace
}  // namespace foregate::predict
