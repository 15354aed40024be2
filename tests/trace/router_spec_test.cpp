#include "trace/router_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"
#include "trace/manifest.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

RouterSpec deepseek_v3() {
  return {.score = RouterSpec::Score::kSigmoid,
          .norm_topk = true,
          .epsilon = 1e-20,
          .scale = 2.5,
          .groups = 4,
          .top_groups = 2,
          .group_score = RouterSpec::GroupScore::kSumOfTopTwo};
}

RouterSpec read(const Json& json) {
  return router_spec_from_json(JsonReader(json, "router"));
}

TEST(RouterSpecTest, SurvivesJson) {
  for (const RouterSpec& spec :
       {RouterSpec{}, deepseek_v3(), RouterSpec{.score = RouterSpec::Score::kSoftmaxOfChosen}}) {
    const Json json = parse_json(router_spec_to_json(spec).dump(), "text");
    EXPECT_EQ(read(json), spec);
  }
}

TEST(RouterSpecTest, EveryKeyIsRequiredAndNamed) {
  const Json whole = router_spec_to_json(deepseek_v3());
  for (const auto& [key, value] : whole.items()) {
    Json without = whole;
    without.erase(key);
    EXPECT_THAT(testing::error_of([&] { read(without); }),
                AllOf(HasSubstr("router"), HasSubstr(key)));
  }
}

TEST(RouterSpecTest, UnknownNamesAreRefused) {
  Json json = router_spec_to_json({});
  json["score"] = "argmax";
  EXPECT_THAT(testing::error_of([&] { read(json); }),
              AllOf(HasSubstr("argmax"), HasSubstr("softmax-of-chosen"), HasSubstr("sparsemixer")));
}

TEST(RouterSpecTest, MustFitTheExperts) {
  const auto problem = [](const RouterSpec& spec, int64_t experts, int64_t k) {
    return testing::error_of([&] { check_router_spec(spec, experts, k, "here"); });
  };
  EXPECT_THAT(problem({.groups = 3}, 8, 2), AllOf(HasSubstr("here"), HasSubstr("groups")));
  EXPECT_THAT(problem({.groups = 2, .top_groups = 3}, 8, 2), HasSubstr("top_groups"));
  EXPECT_THAT(problem({.groups = 4, .top_groups = 1}, 8, 3), HasSubstr("3 experts"));
  EXPECT_THAT(problem(deepseek_v3(), 4, 1), HasSubstr("group_score"));
  EXPECT_NO_THROW(check_router_spec(deepseek_v3(), 8, 4, "here"));
}

TEST(ManifestTest, TellsHowTheRoutersDecide) {
  Manifest manifest = fixture_manifest(fixture_geometry());
  EXPECT_FALSE(manifest.to_json().contains("router"));
  EXPECT_FALSE(Manifest::from_json(manifest.to_json(), "m").router);
  manifest.router = deepseek_v3();
  const Json json = parse_json(manifest.to_json().dump(), "text");
  EXPECT_EQ(Manifest::from_json(json, "m").router, deepseek_v3());
  Json wrong = json;
  wrong["router"]["groups"] = 7;
  EXPECT_THAT(testing::error_of([&] { Manifest::from_json(wrong, "manifest.json"); }),
              AllOf(HasSubstr("manifest.json: router"), HasSubstr("7")));
}

}  // namespace
}  // namespace foregate::trace
