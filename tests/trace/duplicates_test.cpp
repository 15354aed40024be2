#include "trace/split/duplicates.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace foregate::trace {
namespace {

using Ids = std::vector<int32_t>;

Ids random_ids(Random& random, int count) {
  Ids ids;
  for (int i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random.below(30000)));
  return ids;
}

Ids joined(const Ids& a, const Ids& b) {
  Ids ids = a;
  ids.insert(ids.end(), b.begin(), b.end());
  return ids;
}

std::vector<size_t> groups_of(const std::vector<Ids>& texts) {
  std::vector<SplitText> all;
  for (const Ids& ids : texts) all.push_back({"d", static_cast<int64_t>(all.size()), ids});
  return duplicate_groups(all);
}

using Groups = std::vector<size_t>;

TEST(DuplicatesTest, SameTextsAreJoinedAcrossDatasets) {
  const std::vector<SplitText> texts = {
      {"a", 0, {1, 2, 3}}, {"a", 1, {1, 2, 4}}, {"b", 0, {1, 2, 3}}};
  EXPECT_EQ(duplicate_groups(texts), (Groups{0, 1, 0}));
}

TEST(DuplicatesTest, NoTextsAndEmptyTexts) {
  EXPECT_TRUE(duplicate_groups({}).empty());
  EXPECT_EQ(groups_of({{}, {5}, {}}), (Groups{0, 1, 0}));
}

TEST(DuplicatesTest, ACommonBeginningOf64TokensJoins) {
  Random random(1);
  const Ids beginning = random_ids(random, 64);
  const Ids shorter(beginning.begin(), beginning.end() - 1);
  const auto continued = [&](const Ids& start) { return joined(start, random_ids(random, 300)); };
  EXPECT_EQ(groups_of({continued(beginning), continued(beginning)}), (Groups{0, 0}));
  EXPECT_EQ(groups_of({continued(shorter), continued(shorter)}), (Groups{0, 1}));
}

TEST(DuplicatesTest, EditedCopiesJoinAndRelatedTextsDoNot) {
  Random random(2);
  for (const int length : {40, 120, 500}) {
    const Ids text = random_ids(random, length);
    Ids edited = text;
    edited[static_cast<size_t>(length) / 2] = 30001;  // 8 shingles of length - 7 change.
    const Ids titled = joined({7, 8}, text);
    EXPECT_EQ(groups_of({text, titled}), (Groups{0, 0})) << length;
    EXPECT_EQ(groups_of({joined({9}, text), edited}), length > 60 ? (Groups{0, 0}) : (Groups{0, 1}))
        << length;
    const Ids half(text.begin() + length / 2, text.end());
    EXPECT_EQ(groups_of({text, joined(random_ids(random, length / 2), half)}), (Groups{0, 1}))
        << length;
  }
}

TEST(DuplicatesTest, RandomTextsStayApart) {
  Random random(3);
  std::vector<Ids> texts;
  for (int i = 0; i < 2000; ++i) {
    texts.push_back(random_ids(random, 1 + static_cast<int>(random.below(200))));
  }
  const Groups groups = groups_of(texts);
  size_t joined_texts = 0;
  for (size_t i = 0; i < groups.size(); ++i) joined_texts += groups[i] == i ? 0 : 1;
  EXPECT_EQ(joined_texts, 0u);
}

TEST(DuplicatesTest, ATemplateDoesNotJoinEverything) {
  Random random(4);
  const Ids header = random_ids(random, 403);
  std::vector<Ids> texts;
  for (int i = 0; i < 50; ++i) texts.push_back(joined(header, random_ids(random, 40)));
  texts.push_back(texts[7]);                                 // A duplicate all the same,
  texts.push_back(joined(texts[9], random_ids(random, 3)));  // and an edited copy.
  const Groups groups = groups_of(texts);
  for (size_t i = 0; i < 50; ++i) EXPECT_EQ(groups[i], i);
  EXPECT_EQ(groups[50], 7u);
  EXPECT_EQ(groups[51], 9u);
}

TEST(DuplicatesTest, JoiningIsTransitiveAndDoesNotDependOnOrder) {
  Random random(5);
  std::vector<SplitText> texts;
  for (int i = 0; i < 300; ++i) texts.push_back({"d", i, random_ids(random, 100)});
  for (int i = 0; i < 30; ++i) {
    Ids copy = texts[static_cast<size_t>(i)].token_ids;
    copy[50] = 30001;
    texts.push_back({"d", 1000 + i, copy});
    copy[90] = 30002;
    texts.push_back({"d", 2000 + i, copy});
  }
  const auto partition = [&] {
    const Groups groups = duplicate_groups(texts);
    std::vector<std::vector<int64_t>> by_text;
    for (size_t i = 0; i < texts.size(); ++i) {
      std::vector<int64_t> members;
      for (size_t j = 0; j < texts.size(); ++j) {
        if (groups[j] == groups[i]) members.push_back(texts[j].sample);
      }
      std::sort(members.begin(), members.end());
      by_text.push_back(members);
    }
    std::sort(by_text.begin(), by_text.end());
    return by_text;
  };
  const auto before = partition();
  random.shuffle(texts);
  EXPECT_EQ(partition(), before);
  EXPECT_EQ(
      std::count_if(before.begin(), before.end(), [](const auto& g) { return g.size() == 3; }), 90);
}

}  // namespace
}  // namespace foregate::trace
