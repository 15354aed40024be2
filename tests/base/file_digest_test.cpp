#include "base/file_digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace foregate {
namespace {

using ::testing::HasSubstr;

const std::string kA(64, 'a');
const std::string kB(64, 'b');

TEST(FileDigest, SurvivesJson) {
  const std::vector<FileDigest> files = {{"model.safetensors", 12, kA}, {"other", 0, kB}};
  const Json json = {{"weights", to_json(files)}};
  EXPECT_EQ(file_digests(JsonReader(json, "m.json"), "weights"), files);
}

TEST(FileDigest, BrokenEntriesAreNamed) {
  for (const char* key : {"file", "bytes", "sha256"}) {
    Json json = {{"weights", to_json({{"model.safetensors", 12, kA}})}};
    json["weights"][0][key] = key == std::string("bytes") ? Json(-1) : Json(7);
    try {
      file_digests(JsonReader(json, "m.json"), "weights");
      FAIL() << key;
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("m.json: weights[0]: '" + std::string(key)));
    }
  }
}

TEST(FileDigest, SaysWhatChanged) {
  const std::vector<FileDigest> before = {{"1", 5, kA}, {"2", 6, kA}};
  EXPECT_EQ(changed_file(before, before), "");
  EXPECT_EQ(changed_file(before, {{"2", 6, kA}, {"1", 5, kA}}), "");
  EXPECT_EQ(changed_file(before, {{"1", 5, kA}, {"2", 6, kB}}), "2 has other content");
  EXPECT_EQ(changed_file(before, {{"1", 7, kA}, {"2", 6, kA}}), "1 has 7 bytes, 5 before");
  EXPECT_EQ(changed_file(before, {{"1", 5, kA}}), "2 is gone");
  EXPECT_EQ(changed_file({{"1", 5, kA}}, before), "2 is new");
}

TEST(FileDigest, SaysWhatCannotBeChecked) {
  EXPECT_THAT(unchecked_input("out/a"), HasSubstr("out/a was begun by an older foregate"));
}

TEST(FileDigest, OneForAllDependsOnEach) {
  EXPECT_EQ(digest_of({}), "");
  EXPECT_TRUE(is_sha256(digest_of({{"1", 5, kA}})));
  EXPECT_NE(digest_of({{"1", 5, kA}}), digest_of({{"1", 5, kB}}));
  EXPECT_NE(digest_of({{"1", 5, kA}}), digest_of({{"2", 5, kA}}));
}

}  // namespace
}  // namespace foregate
