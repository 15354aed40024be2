#include "base/containers/gguf_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "base/hash.h"
#include "support/gguf_bytes.h"
#include "support/temporary_folder.h"
#include "support/test_files.h"

namespace foregate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_of;
using testing::gguf_string;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::number_bytes;

TEST(GgufHeader, ReadsEveryKindOfValue) {
  const std::string file =
      GgufBytes()
          .integer("u32", 7)
          .value_bytes("i8", 1, number_bytes<int8_t>(-3))
          .value_bytes("u64", 10, number_bytes(std::numeric_limits<uint64_t>::max()))
          .value_bytes("i64", 11, number_bytes<int64_t>(-5'000'000'000))
          .number("epsilon", 1e-6F)
          .value_bytes("f64", 12, number_bytes(0.1))
          .boolean("yes", true)
          .string("text", "Gr\u00fc\u00dfe")
          .strings("words", {"a", "", "bc"})
          .integers("numbers", {-1, 2})
          .numbers("scores", {0.5F, -2})
          .strings("none", {})
          .bytes();
  const GgufHeader header(file, "f");
  EXPECT_EQ(header.integer("u32", 0, 10), 7);
  EXPECT_EQ(header.integer("i8", -10, 10), -3);
  EXPECT_EQ(header.integer("i64", -6'000'000'000, 0), -5'000'000'000);
  EXPECT_EQ(header.integer("absent", 0, 10, 4), 4);
  EXPECT_EQ(header.number("epsilon"), 1e-6);  // not float32's nearest, 9.99999997e-07
  EXPECT_EQ(header.number("f64"), 0.1);
  EXPECT_TRUE(header.boolean("yes"));
  EXPECT_EQ(header.string("text"), "Gr\u00fc\u00dfe");
  EXPECT_THAT(header.strings("words"), ElementsAre("a", "", "bc"));
  EXPECT_THAT(header.integers("numbers"), ElementsAre(-1, 2));
  EXPECT_THAT(header.numbers("scores"), ElementsAre(0.5, -2));
  EXPECT_THAT(header.strings("none"), ElementsAre());
  EXPECT_TRUE(header.is_array("words"));
  EXPECT_FALSE(header.is_array("text"));
  EXPECT_THAT(error_of([&] { header.integer("u64", 0, 10); }), HasSubstr("f: u64 is 92233720"));
}

TEST(GgufHeader, LookUpsNameKeyAndWhatIsThere) {
  const std::string file =
      GgufBytes().integer("a.b", 7).string("s", "x").strings("l", {"y"}).bytes();
  const GgufHeader header(file, "f.gguf");
  EXPECT_EQ(error_of([&] { header.integer("a.b", 8, 9); }),
            "f.gguf: a.b is 7; expected an integer in [8, 9]");
  EXPECT_EQ(error_of([&] { header.string("a.b"); }), "f.gguf: a.b is 7; expected a text");
  EXPECT_EQ(error_of([&] { header.number("s"); }), "f.gguf: s is \"x\"; expected a number");
  EXPECT_EQ(error_of([&] { header.boolean("l"); }),
            "f.gguf: l is an array of 1; expected true or false");
  EXPECT_EQ(error_of([&] { header.integers("l"); }),
            "f.gguf: l is an array of 1; expected a list of integers");
  EXPECT_EQ(error_of([&] { header.string("none"); }),
            "f.gguf: there is no key none; expected a text");
}

TEST(GgufHeader, ReadsTensorsInDataOrder) {
  GgufBytes builder;
  builder.tensor("q", 8, {3, 64}, std::string(3 * 2 * 34, 'q'));
  builder.floats("f", {2}, {1, 2});
  const std::string file = builder.bytes();
  const GgufHeader header(file, "f");
  ASSERT_EQ(header.tensors().size(), 2U);
  EXPECT_EQ(header.tensors()[0].name, "q");
  EXPECT_EQ(header.tensors()[0].type->name, "Q8_0");
  EXPECT_THAT(header.tensors()[0].shape, ElementsAre(3, 64));
  EXPECT_EQ(header.tensors()[0].begin, header.data_start());
  EXPECT_EQ(header.tensors()[0].end, header.data_start() + 204);
  EXPECT_EQ(header.tensors()[1].begin, header.data_start() + 224);
  EXPECT_EQ(header.data_start() % 32, 0U);
}

// Whatever is cut off: refused in one line, nothing read that is not there.
TEST(GgufHeader, RefusesAFileThatIsCutAnywhere) {
  GgufBytes builder;
  builder.strings("words", {"abc", "d"}).integer("n", 1).string("s", "text");
  builder.floats("x", {2, 2}, {1, 2, 3, 4});
  const std::string file = builder.bytes();
  const size_t padding = 32 - 16;  // behind the last tensor
  for (size_t size = 0; size < file.size() - padding; ++size) {
    const std::string cut = file.substr(0, size);
    const std::string message = error_of([&] { GgufHeader(cut, "cut.gguf"); });
    EXPECT_THAT(message, HasSubstr("cut.gguf")) << size;
  }
  EXPECT_EQ(error_of([&] { GgufHeader(file.substr(0, file.size() - padding), "f"); }), "no error");
}

struct BrokenCase {
  const char* name;
  std::string bytes;
  std::vector<const char*> expected;  ///< parts of the message
};

std::vector<BrokenCase> broken_cases() {
  constexpr uint64_t kHuge = uint64_t{1} << 62;
  const auto start = [](uint32_t version, uint64_t tensors, uint64_t values) {
    return "GGUF" + number_bytes(version) + number_bytes(tensors) + number_bytes(values);
  };
  GgufBytes twice;
  twice.floats("x", {1}, {1}).floats("x", {1}, {1});
  return {
      {"page", "<!DOCTYPE html><html>", {"web page"}},
      {"magic", "GGML" + std::string(64, 'x'), {"begins with \"GGML\"", "no GGUF file"}},
      {"old", start(1, 0, 0) + std::string(64, 'x'), {"version is 1; expected 2 or 3"}},
      {"turned", start(0x03000000, 0, 0) + std::string(64, 'x'), {"big-endian"}},
      {"tensors", start(3, kHuge, 0), {"4611686018427387904 tensors", "truncated or broken"}},
      {"keys", start(3, 0, kHuge), {"4611686018427387904 keys", "truncated or broken"}},
      {"string",
       start(3, 0, 1) + gguf_string("k") + number_bytes<uint32_t>(8) + number_bytes(kHuge),
       {"\"k\" at offset", "the file ends after 0"}},
      {"array",
       GgufBytes().array("words", 8, kHuge, gguf_string("a")).bytes(),
       {"\"words\"", "4611686018427387904 elements"}},
      {"nested", GgufBytes().array("l", 9, 1, "").bytes(), {"\"l\" is an array of type 9"}},
      {"type", GgufBytes().value_bytes("k", 77, "").bytes(), {"\"k\" is of type 77"}},
      {"key twice", GgufBytes().integer("k", 1).integer("k", 1).bytes(), {"comes twice"}},
      {"no key", GgufBytes().integer("", 1).bytes(), {"a key", "has 0 bytes"}},
      {"alignment",
       GgufBytes().integer("general.alignment", 33).bytes(),
       {"general.alignment is 33; expected a power of two"}},
      {"no alignment",
       GgufBytes().integer("general.alignment", 0).bytes(),
       {"general.alignment is 0; expected an integer in [1"}},
      {"tensor type",
       GgufBytes().tensor("x", 99, {32}, "").bytes(),
       {"tensor \"x\" is of type 99"}},
      {"dimensions",
       GgufBytes().tensor("x", 0, {1, 1, 1, 1, 1}, "").bytes(),
       {"tensor \"x\" has 5 dimensions"}},
      {"no dimension", GgufBytes().tensor("x", 0, {}, "").bytes(), {"has 0 dimensions"}},
      {"zero", GgufBytes().tensor("x", 0, {0}, "").bytes(), {"has a dimension of 0"}},
      {"negative", GgufBytes().tensor("x", 0, {~uint64_t{0}}, "").bytes(), {"dimension of -1"}},
      {"overflow",
       GgufBytes().tensor("x", 0, {kHuge, kHuge}, "").bytes(),
       {"tensor \"x\"", "more bytes than a file can"}},
      {"row",
       GgufBytes().tensor("x", 8, {2, 33}, std::string(256, 'x')).bytes(),
       {"rows of 33 values", "Q8_0 keeps them in blocks of 32"}},
      {"tensor twice", twice.bytes(), {"tensor \"x\" comes twice"}},
      {"short",
       GgufBytes().tensor("x", 0, {100}, std::string(64, 'x')).bytes(),
       {"tensor \"x\" should have 400 bytes from data offset 0 on, but 64 bytes follow"}},
      {"behind",
       GgufBytes().tensor_at("x", 0, {1}, kHuge).bytes(),
       {"tensor \"x\"", "the file is truncated"}},
      {"askew",
       GgufBytes().tensor("y", 0, {16}, std::string(64, 'x')).tensor_at("x", 0, {1}, 4).bytes(),
       {"begins at data offset 4, no multiple of 32"}},
      {"overlap",
       GgufBytes().tensor("y", 0, {16}, std::string(64, 'x')).tensor_at("x", 0, {1}, 32).bytes(),
       {"tensors \"y\" and \"x\" overlap"}},
  };
}

class BrokenGgufTest : public ::testing::TestWithParam<BrokenCase> {};

TEST_P(BrokenGgufTest, IsRefusedInOneLine) {
  const std::string message = error_of([] { GgufHeader(GetParam().bytes, "bad.gguf"); });
  EXPECT_THAT(message, HasSubstr("bad.gguf"));
  for (const char* part : GetParam().expected) EXPECT_THAT(message, HasSubstr(part));
}

INSTANTIATE_TEST_SUITE_P(All, BrokenGgufTest, ::testing::ValuesIn(broken_cases()),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::ranges::replace(name, ' ', '_');
                           return name;
                         });

TEST(GgufHeader, FilesAreKnownByNameOrStart) {
  const testing::TemporaryFolder folder;
  EXPECT_TRUE(is_gguf_file(folder.write("a.gguf", "")));
  EXPECT_TRUE(is_gguf_file(folder.write("b", "GGUF...")));
  EXPECT_FALSE(is_gguf_file(folder.write("c.json", "{}")));
  EXPECT_FALSE(is_gguf_file(folder.path()));
  EXPECT_FALSE(is_gguf_file(folder / "none.gguf"));
}

TEST(GgufHeader, DigestIsOfTheHeaderAlone) {
  const testing::TemporaryFolder folder;
  const auto with = [&](const char* name, uint32_t value, float weight) {
    GgufBytes builder;
    builder.integer("k", value).floats("x", {1}, {weight});
    return sha256_of_gguf_header(folder.write(name, builder.bytes()));
  };
  const std::string digest = with("a", 1, 1);
  EXPECT_EQ(with("b", 1, 2), digest);
  EXPECT_NE(with("c", 2, 1), digest);
}

}  // namespace
}  // namespace foregate
