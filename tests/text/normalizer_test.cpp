#include "text/tokenizer/normalizer.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "support/test_files.h"
#include "text/text_fixture.h"
#include "text/unicode/unicode_forms.h"
#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

std::string utf8_of(char32_t code_point) {
  std::string text;
  append_utf8(code_point, text);
  return text;
}

std::vector<utf8proc_int32_t> canonical_decomposition(utf8proc_int32_t code_point) {
  std::vector<utf8proc_int32_t> parts(32);
  int boundary = 0;
  const auto count = utf8proc_decompose_char(
      code_point, parts.data(), 32,
      static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | UTF8PROC_STABLE), &boundary);
  parts.resize(static_cast<size_t>(count));
  return parts;
}

bool is_code_point(utf8proc_int32_t value) {
  return value < 0xd800 || value > 0xdfff;
}

// The shortcut must never skip a text that NFC changes.
TEST(Normalizer, ShortcutHoldsForEveryCodePoint) {
  std::set<utf8proc_int32_t> composes_with_previous;
  for (utf8proc_int32_t c = 0; c <= 0x10ffff; ++c) {
    if (!is_code_point(c)) continue;
    const auto parts = canonical_decomposition(c);
    if (parts.size() > 1) composes_with_previous.insert(parts.begin() + 1, parts.end());
  }
  for (utf8proc_int32_t c = 1; c <= 0x10ffff; ++c) {
    if (!is_code_point(c)) continue;
    const std::string text = utf8_of(static_cast<char32_t>(c));
    if (!is_surely_in_form(text, UnicodeForm::kNfc)) continue;
    utf8proc_uint8_t* output =
        utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
    ASSERT_EQ(text, reinterpret_cast<const char*>(output)) << std::hex << c;
    std::free(output);
    ASSERT_EQ(utf8proc_get_property(c)->combining_class, 0) << std::hex << c;
    ASSERT_FALSE(composes_with_previous.contains(c)) << std::hex << c;
  }
}

TEST(Normalizer, Nfc) {
  const Normalizer normalizer = Normalizer::from_json(Json{{"type", "NFC"}}, "test");
  const auto nfc = [&](const std::string& text) {
    std::string storage;
    return std::string(normalizer.normalize(text, storage));
  };
  EXPECT_EQ(nfc(""), "");
  EXPECT_EQ(nfc("e\xcc\x81t\xc3\xa9"), "\xc3\xa9t\xc3\xa9");               // é
  EXPECT_EQ(nfc("\xe2\x84\xab"), "\xc3\x85");                              // Ångström sign
  EXPECT_EQ(nfc("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8"), "\xea\xb0\x81");  // Hangul
  EXPECT_EQ(nfc("q\xcc\x87\xcc\xa3"), "q\xcc\xa3\xcc\x87");                // order of marks
  EXPECT_EQ(nfc("\xef\xac\x81"), "\xef\xac\x81");                          // fi ligature stays
  EXPECT_EQ(nfc(std::string("e\xcc\x81\0x", 5)), std::string("\xc3\xa9\0x", 4));  // NUL inside
}

TEST(Normalizer, NullAndSequence) {
  std::string storage;
  const std::string text = "e\xcc\x81";
  EXPECT_EQ(Normalizer::from_json(nullptr, "test").normalize(text, storage), text);
  const Json sequence{{"type", "Sequence"}, {"normalizers", Json::array({{{"type", "NFC"}}})}};
  EXPECT_EQ(Normalizer::from_json(sequence, "test").normalize(text, storage), "\xc3\xa9");
}

std::string normalized(const Json& json, const std::string& text) {
  std::string storage;
  return std::string(Normalizer::from_json(json, "test").normalize(text, storage));
}

TEST(Normalizer, Forms) {
  EXPECT_EQ(normalized({{"type", "NFD"}}, "\xc3\xa9"), "e\xcc\x81");
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "\xef\xac\x81\xe2\x85\xab"), "fiXII");
  EXPECT_EQ(normalized({{"type", "NFKD"}}, "\xef\xbd\x9e\xc3\xa9"), "~e\xcc\x81");
  // U+1F16C is newer than the tokenizers package's normalizers: not "RC".
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "\xf0\x9f\x85\xac"), "\xf0\x9f\x85\xac");
}

TEST(Normalizer, Steps) {
  const std::string blank = " \xe3\x80\x80";
  const auto strip = [](bool left, bool right) {
    return Json{{"type", "Strip"}, {"strip_left", left}, {"strip_right", right}};
  };
  for (const auto& [left, right] : {std::pair{true, false}, {false, true}, {true, true}}) {
    EXPECT_EQ(normalized(strip(left, right), blank), "");
  }
  EXPECT_EQ(normalized(strip(true, false), " a "), "a ");
  EXPECT_EQ(normalized(strip(false, true), " a "), " a");
  EXPECT_EQ(normalized(strip(false, false), blank), blank);
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, "a"), "_a");
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, ""), "");
  EXPECT_EQ(normalized({{"type", "Lowercase"}}, "\xc4\xb0\xce\xa3\xe1\xba\x9e"),
            "i\xcc\x87\xcf\x83\xc3\x9f");
  EXPECT_EQ(normalized({{"type", "StripAccents"}}, "e\xcc\x81\xc3\xa9"), "e\xc3\xa9");
  const Json string{{"type", "Replace"}, {"pattern", {{"String", "aa"}}}, {"content", "b"}};
  EXPECT_EQ(normalized(string, "aaaaa"), "bba");
  const Json regex{{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}};
  EXPECT_EQ(normalized(regex, "a \t b\n"), "a b ");
}

TEST(Normalizer, RefusesOthersByName) {
  const auto message = testing::error_of([] {
    Normalizer::from_json(Json{{"type", "Nmt"}}, "t.json");
  });
  EXPECT_THAT(message, ::testing::AllOf(::testing::HasSubstr("t.json: normalizer"),
                                        ::testing::HasSubstr("Nmt")));
}

}  // namespace
}  // namespace foregate::text
