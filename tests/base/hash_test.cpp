#include "base/hash.h"

#include <gtest/gtest.h>

namespace foregate {
namespace {

// Vectors of FIPS 180-4.
TEST(Sha256, StandardVectors) {
  EXPECT_EQ(sha256_of_text(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of_text("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, PiecesGiveTheSameDigest) {
  Sha256 pieces;
  pieces.update("ab");
  pieces.update("c");
  EXPECT_EQ(pieces.hex_digest(), sha256_of_text("abc"));
}

// What `git hash-object` prints for an empty file and for one with "hello\n".
TEST(GitBlobHash, AsGitNamesFiles) {
  EXPECT_EQ(GitBlobHash(0).hex_digest(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
  GitBlobHash hello(6);
  hello.update("hel");
  hello.update("lo\n");
  EXPECT_EQ(hello.hex_digest(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

// Splits of existing traces depend on these values: they must never change.
TEST(StableHash, ValuesAreFixed) {
  EXPECT_EQ(stable_hash("foregate"), stable_hash("foregate"));
  EXPECT_NE(stable_hash("foregate"), stable_hash("foregate", 1));
  EXPECT_EQ(stable_hash(""), 17665956581633026203ULL);
}

}  // namespace
}  // namespace foregate
