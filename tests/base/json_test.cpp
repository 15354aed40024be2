#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json_dialect.h"

namespace foregate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const DataError& error) {
    return error.what();
  }
  return "no DataError";
}

TEST(ParseJson, ErrorsGiveLineAndColumn) {
  EXPECT_THAT(message_of([] { parse_json("{\n  \"a\": 1,\n  oops\n}", "x.json"); }),
              AllOf(HasSubstr("x.json"), HasSubstr("line 3")));
  EXPECT_THAT(message_of([] { parse_json("{\"a\": [1, 2", "x.json"); }),
              HasSubstr("ends too early"));
  EXPECT_THAT(message_of([] { parse_json("", "x.json"); }), HasSubstr("x.json"));
}

TEST(NullForNonfinite, OnlyNumbersThatJsonLacks) {
  EXPECT_EQ(null_for_nonfinite(R"({"a":NaN,"b":[Infinity,-Infinity,+inf], "c" : -nan})"),
            R"({"a":null,"b":[null,null,null], "c" : null})");
  for (const char* text : {R"({"NaN":"NaN, -Infinity","b":"\"})", R"(["\"NaN",1])", "NaNs",
                           "Infinite", "-1", "", R"("\)"}) {
    EXPECT_EQ(null_for_nonfinite(text), text);
  }
}

TEST(WithoutLoneSurrogates, OnlyHalvesThatStandAlone) {
  EXPECT_EQ(without_lone_surrogates(R"({"a":"\udcb2 and \ud83c","b":"\udf78\ud83c\uD83C\udf78"})"),
            R"({"a":"\ufffd and \ufffd","b":"\ufffd\ufffd\uD83C\udf78"})");
  for (const char* text : {R"("\ud83c\udf78")", R"("\\ud83c")", R"("\\\\udc00 \u0041\\")",
                           R"("\ud83)", R"("\ud8zz")", "\\", ""}) {
    EXPECT_EQ(without_lone_surrogates(text), text);
  }
  EXPECT_EQ(without_lone_surrogates(R"("\ud83c)"), R"("\ufffd)");
  EXPECT_EQ(parse_json(R"(["cut \ud83c"])", "x").at(0), "cut \xef\xbf\xbd");
  EXPECT_THAT(message_of([] { parse_json(R"({"a": "\ud83c", "b": oops})", "x.json"); }),
              HasSubstr("line 1, column 22"));
}

TEST(WriteJson, OnOneLineAsUtf8) {
  EXPECT_EQ(json_line(Json{{"b", {1, 2}}, {"a", "line\nend"}}), R"({"b":[1,2],"a":"line\nend"})");
  EXPECT_EQ(json_line("\xff!"), "\"\xEF\xBF\xBD!\"");
}

TEST(ParseJson, RefusesNumbersAndNestingOutOfBounds) {
  EXPECT_THAT(message_of([] { parse_json("[1e999]", "x.json"); }), HasSubstr("too large"));
  const auto nested = [](size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  EXPECT_NO_THROW(parse_json(nested(256), "x.json"));
  EXPECT_NO_THROW(parse_json("\"" + std::string(300, '[') + "\\\"[\"", "x.json"));
  EXPECT_THAT(message_of([&] { parse_json(nested(257), "x.json"); }), HasSubstr("nested deeper"));
}

class JsonReaderTest : public ::testing::Test {
 protected:
  Json json_ = parse_json(
      R"({"n": 5, "big": 18446744073709551615, "x": 0.5, "s": "t", "b": true, "none": null,
          "list": [1, 2], "mixed": [1, "a"], "inner": {"k": 1}})",
      "doc");
  JsonReader reader_{json_, "doc"};
};

TEST_F(JsonReaderTest, ReadsWhatIsThere) {
  EXPECT_EQ(reader_.integer("n", 0, 10), 5);
  EXPECT_EQ(reader_.integer("absent", 0, 10, 7), 7);
  EXPECT_EQ(reader_.integer("none", 0, 10, 7), 7);
  EXPECT_DOUBLE_EQ(reader_.number("x", 0, 1), 0.5);
  EXPECT_EQ(reader_.string("s"), "t");
  EXPECT_TRUE(reader_.boolean("b"));
  EXPECT_EQ(reader_.integers("list"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(reader_.object("inner").integer("k", 0, 1), 1);
}

TEST_F(JsonReaderTest, ErrorsNameDocumentKeyExpectedAndFound) {
  EXPECT_EQ(message_of([&] { reader_.integer("n", 6, 10); }),
            "doc: 'n' is 5; expected an integer in [6, 10]");
  EXPECT_EQ(message_of([&] { reader_.integer("absent", 0, 1); }), "doc: missing key 'absent'");
  EXPECT_THAT(message_of([&] { reader_.integer("big", 0, 10); }), HasSubstr("'big'"));
  EXPECT_THAT(message_of([&] { reader_.integer("x", 0, 10); }), HasSubstr("0.5"));
  EXPECT_THAT(message_of([&] { reader_.string("n"); }), HasSubstr("expected a string"));
  EXPECT_THAT(message_of([&] { reader_.boolean("s"); }), HasSubstr("true or false"));
  EXPECT_THAT(message_of([&] { reader_.integers("mixed"); }), HasSubstr("a list of integers"));
  EXPECT_THAT(message_of([&] { reader_.object("inner").integer("z", 0, 1); }),
              HasSubstr("doc: inner: missing key 'z'"));
  EXPECT_THAT(message_of([&] { JsonReader(json_["list"], "doc"); }), HasSubstr("a JSON object"));
}

}  // namespace
}  // namespace foregate
