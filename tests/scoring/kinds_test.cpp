#include "scoring/kinds.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/error.h"
#include "map_weights.h"

namespace foregate::scoring {
namespace {

TEST(Kinds, AreFoundByName) {
  std::set<std::string> names;
  for (const Kind& kind : kinds()) {
    EXPECT_EQ(find_kind(kind.name), &kind);
    names.insert(kind.name);
  }
  EXPECT_EQ(names.size(), kinds().size());
  EXPECT_EQ(find_kind("lstm"), nullptr);
}

TEST(Kinds, SupportTheirLeads) {
  const auto supports = [](const char* name) {
    std::string leads;
    for (const char* lead : {"next-token", "layer-1", "layer-3", "pre-attention"}) {
      leads += find_kind(name)->supports(parse_lead(lead)) ? '1' : '0';
    }
    return leads;
  };
  EXPECT_EQ(supports("random"), "1111");
  EXPECT_EQ(supports("previous-token"), "1000");
  EXPECT_EQ(supports("transition"), "0110");
  EXPECT_EQ(supports("statistics"), "1110");
  EXPECT_EQ(supports("mlp"), "0111");
}

TEST(Kinds, NameTheTensorThatIsMissing) {
  const testing::MapWeights weights;
  const Json settings = {{"width", 4},   {"blocks", 1},      {"heads", 1},
                         {"context", 4}, {"layers_back", 1}, {"layer_width", 1}};
  for (const Kind& kind : kinds()) {
    const Lead lead = kind.next_token ? Lead::next_token() : Lead::layer(1);
    try {
      kind.make_scorer({kind.name, lead, testing::small_geometry(2, 4, 2)}, weights,
                       JsonReader(settings, "settings"));
      FAIL() << kind.name;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find("is missing"), std::string::npos) << error.what();
    }
  }
}

TEST(Weights, AreCheckedAgainstDtypeAndShape) {
  testing::MapWeights weights;
  weights.add_floats("a", {2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(weights.floats("a", {2, -1})[5], 6);
  EXPECT_EQ(weights.size("a", 2, 1), 3);
  EXPECT_THROW(weights.floats("a", {2, 4}), DataError);
  EXPECT_THROW(weights.floats("a", {6}), DataError);
  EXPECT_THROW(weights.integers("a", {2, 3}), DataError);
  EXPECT_THROW(weights.size("a", 1, 0), DataError);
  EXPECT_THROW(weights.floats("b", {2, 3}), DataError);
}

}  // namespace
}  // namespace foregate::scoring
