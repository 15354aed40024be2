#include "trace/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"
#include "support/trace_fixture.h"

namespace foregate::trace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// A finished trace of two shards, one with features.
Manifest whole_manifest() {
  Manifest manifest = fixture_manifest(fixture_geometry());
  manifest.datasets[0].traces = 12;
  manifest.datasets[1].traces = 18;
  manifest.feature_fraction = 0.25;
  ShardEntry first{"part-00000.parquet", 20, 600, 1234, std::string(64, 'c'), "", 0};
  ShardEntry second{"part-00001.parquet",
                    10,
                    300,
                    777,
                    std::string(64, 'd'),
                    "part-00001.features.safetensors",
                    4096};
  manifest.shards = {first, second};
  manifest.complete = true;
  return manifest;
}

std::string problem_of(const Json& json) {
  return testing::error_of([&] { Manifest::from_json(json, "manifest.json"); });
}

TEST(ManifestTest, SurvivesAFile) {
  const testing::TemporaryFolder folder;
  const Manifest manifest = whole_manifest();
  write_manifest(folder.path(), manifest);
  const Manifest read = read_manifest(folder.path());
  EXPECT_EQ(read.to_json(), manifest.to_json());
  EXPECT_EQ(read.geometry, manifest.geometry);
  EXPECT_EQ(read.num_traces(), 30);
  EXPECT_EQ(read.num_tokens(), 900);
  EXPECT_EQ(read.shards[0].features, "");
  EXPECT_EQ(read.shards[1].features, "part-00001.features.safetensors");
  EXPECT_EQ(read.shards[1].feature_bytes, 4096);
}

TEST(ManifestTest, KeepsEverySeed) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1} << 53, UINT64_MAX}) {
    Manifest manifest = whole_manifest();
    manifest.seed = seed;
    const Json json = parse_json(manifest.to_json().dump(), "text");
    EXPECT_EQ(Manifest::from_json(json, "m").seed, seed);
  }
}

TEST(ManifestTest, EveryKeyIsRequiredAndNamed) {
  const Json whole = whole_manifest().to_json();
  for (const auto& [key, value] : whole.items()) {
    Json without = whole;
    without.erase(key);
    EXPECT_THAT(problem_of(without), AllOf(HasSubstr("manifest.json"), HasSubstr(key)));
  }
  for (const auto& [key, value] : whole["geometry"].items()) {
    Json without = whole;
    without["geometry"].erase(key);
    EXPECT_THAT(problem_of(without), AllOf(HasSubstr("geometry"), HasSubstr(key)));
  }
}

struct BadManifest {
  const char* name;
  std::function<void(Json&)> change;
  std::vector<std::string> message;
};

class BadManifestTest : public ::testing::TestWithParam<BadManifest> {};

TEST_P(BadManifestTest, IsRefusedWithItsPlace) {
  Json json = whole_manifest().to_json();
  GetParam().change(json);
  const std::string problem = problem_of(json);
  for (const std::string& part : GetParam().message) EXPECT_THAT(problem, HasSubstr(part));
  EXPECT_EQ(problem.find('\n'), std::string::npos);
}

const BadManifest kBadManifests[] = {
    {"Foreign", [](Json& j) { j["format"] = "other"; }, {"format", "not a foregate trace"}},
    {"Newer", [](Json& j) { j["format_version"] = 2; }, {"version 2", "newer"}},
    {"WrongType", [](Json& j) { j["complete"] = "yes"; }, {"complete", "true or false"}},
    {"NegativeSeed", [](Json& j) { j["seed"] = -1; }, {"seed", "2^64"}},
    {"Dtype", [](Json& j) { j["dtype"] = "int7"; }, {"dtype", "bfloat16"}},
    {"Digest", [](Json& j) { j["config_sha256"] = "12"; }, {"config_sha256", "hexadecimal"}},
    {"TooManyChosen", [](Json& j) { j["geometry"]["top_k"] = 61; }, {"geometry", "top_k", "60"}},
    {"TooManyExperts", [](Json& j) { j["geometry"]["num_experts"] = 65537; }, {"num_experts"}},
    {"LayerCount",
     [](Json& j) {
       j["geometry"]["moe_layers"] = {1, 3};
     },
     {"moe_layers", "2"}},
    {"LayerOrder",
     [](Json& j) {
       j["geometry"]["moe_layers"] = {3, 1, 5};
     },
     {"moe_layers"}},
    {"LayerRange",
     [](Json& j) {
       j["geometry"]["moe_layers"] = {1, 3, 6};
     },
     {"moe_layers", "6"}},
    {"Escape", [](Json& j) { j["shards"][0]["file"] = "../x.parquet"; }, {"shards[0]", "file"}},
    {"NotParquet", [](Json& j) { j["shards"][1]["file"] = "x.csv"; }, {"shards[1]", ".parquet"}},
    {"SameShard",
     [](Json& j) { j["shards"][1]["file"] = "part-00000.parquet"; },
     {"part-00000.parquet", "twice"}},
    {"SameDataset", [](Json& j) { j["datasets"][1]["name"] = "even"; }, {"even", "twice"}},
    {"EmptyShard", [](Json& j) { j["shards"][0]["rows"] = 0; }, {"shards[0]", "rows"}},
    {"FewTokens", [](Json& j) { j["shards"][0]["tokens"] = 19; }, {"shards[0]", "tokens"}},
    {"ShardDigest", [](Json& j) { j["shards"][0]["sha256"] = ""; }, {"shards[0]", "sha256"}},
    {"TooFewTraces", [](Json& j) { j["shards"].erase(1); }, {"20 traces", "30"}},
    {"NotAList", [](Json& j) { j["shards"] = 3; }, {"shards", "list"}},
    {"NotAnObject", [](Json& j) { j["datasets"][0] = 3; }, {"datasets[0]", "object"}},
};

INSTANTIATE_TEST_SUITE_P(Manifest, BadManifestTest, ::testing::ValuesIn(kBadManifests),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(ManifestTest, UnfinishedMayHoldLessButNotMore) {
  Manifest manifest = whole_manifest();
  manifest.complete = false;
  manifest.shards.pop_back();
  EXPECT_EQ(problem_of(manifest.to_json()), "no error");
  manifest.datasets[0].traces = 0;
  EXPECT_THAT(problem_of(manifest.to_json()), HasSubstr("no more than planned"));
}

TEST(ManifestTest, AFolderWithoutOneIsExplained) {
  const testing::TemporaryFolder folder;
  EXPECT_THROW(read_manifest(folder.path()), EnvironmentError);
  EXPECT_THAT(testing::error_of([&] { read_manifest(folder.path()); }),
              AllOf(HasSubstr("not a trace directory"), HasSubstr("foregate collect")));
}

TEST(ManifestTest, BrokenJsonIsNamed) {
  const testing::TemporaryFolder folder;
  const std::string text = whole_manifest().to_json().dump(2);
  for (const size_t length : {size_t{0}, size_t{1}, text.size() / 2, text.size() - 1}) {
    overwrite(folder.path() / kManifestName, text.substr(0, length));
    EXPECT_THROW(read_manifest(folder.path()), DataError);
    EXPECT_THAT(testing::error_of([&] { read_manifest(folder.path()); }),
                HasSubstr("manifest.json"));
  }
}

TEST(ManifestTest, WhatWasReadIsKept) {
  Manifest manifest = whole_manifest();
  manifest.weights = {{"model-1.safetensors", 5, std::string(64, 'c')}};
  manifest.routers_sha256 = std::string(64, 'd');
  manifest.datasets[0].sha256 = std::string(64, 'e');
  manifest.grown_from = {4, 9};
  const Json json = manifest.to_json();
  const Manifest back = Manifest::from_json(json, "m");
  EXPECT_EQ(back.weights, manifest.weights);
  EXPECT_EQ(back.to_json(), json);
  for (const char* key : {"weights", "routers_sha256", "grown_from"}) {
    Json broken = json;
    broken[key] = key == std::string("grown_from") ? Json{9, 4} : Json("x");
    EXPECT_THAT(problem_of(broken), HasSubstr(key));
  }
  Json without = json;  // of an older foregate
  for (const char* key : {"weights", "routers_sha256", "grown_from"}) without.erase(key);
  without["datasets"][0].erase("sha256");
  EXPECT_TRUE(Manifest::from_json(without, "m").weights.empty());
}

}  // namespace
}  // namespace foregate::trace
