#include "hub/url.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace foregate::hub {
namespace {

TEST(Escape, KeepsWhatIsPlain) {
  EXPECT_EQ(escape("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(escape("a b/100%/ü.txt", true), "a%20b/100%25/%C3%BC.txt");
  EXPECT_EQ(escape("v1.0_x-y~z"), "v1.0_x-y~z");
  EXPECT_EQ(escape(""), "");
}

TEST(Follow, RelativeAndAbsolute) {
  EXPECT_EQ(follow("https://a.co/x/y?q=1", "/z"), "https://a.co/z");
  EXPECT_EQ(follow("https://a.co/x/y", "z?s=2"), "https://a.co/x/z?s=2");
  EXPECT_EQ(follow("http://a.co/x", "https://b.co/y"), "https://b.co/y");
  EXPECT_EQ(follow("http://a.co/x", "http://b.co/y"), "http://b.co/y");
}

TEST(Follow, RefusesToGiveUpEncryption) {
  EXPECT_THROW(follow("https://a.co/x", "http://a.co/x"), DataError);
}

TEST(Follow, RefusesOtherSchemes) {
  EXPECT_THROW(follow("http://a.co/x", "file:///etc/passwd"), DataError);
  EXPECT_THROW(follow("http://a.co/x", "ftp://a.co/x"), DataError);
}

TEST(SameOrigin, SchemeHostAndPort) {
  EXPECT_TRUE(same_origin("https://a.co/x", "https://A.co:443/y"));
  EXPECT_TRUE(same_origin("http://a.co:8080", "http://a.co:8080/api"));
  EXPECT_FALSE(same_origin("https://a.co", "http://a.co"));
  EXPECT_FALSE(same_origin("https://a.co", "https://a.co:8443"));
  EXPECT_FALSE(same_origin("https://a.co", "https://cdn.a.co"));
  EXPECT_FALSE(same_origin("https://a.co", "https://a.co.evil.org"));
  EXPECT_FALSE(same_origin("https://a.co", "https://a.co@evil.org"));
  EXPECT_FALSE(same_origin("", ""));
}

TEST(Shown, HidesSecrets) {
  EXPECT_EQ(shown("https://user:word@a.co/x/y?Signature=secret#part"), "https://a.co/x/y");
}

}  // namespace
}  // namespace foregate::hub
