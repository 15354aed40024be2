#include "generate_prompts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text_file.h"
#include "hub/resolve.h"
#include "text/datasets/dataset.h"
#include "text/datasets/dataset_files.h"
#include "text/unicode/utf8.h"

namespace foregate {
namespace {

class SinglePrompt : public PromptSource {
 public:
  explicit SinglePrompt(std::string text) : text_(std::move(text)) {}
  bool next(Prompt& prompt) override {
    if (given_) return false;
    given_ = true;
    prompt = {.row = 0, .text = text_, .ids = {}};
    return true;
  }
  std::string description() const override { return "the prompt"; }
  std::string sha256() const override { return sha256_of_text(text_); }

 private:
  std::string text_;
  bool given_ = false;
};

class TerminalPrompts : public PromptSource {
 public:
  bool next(Prompt& prompt) override {
    std::string line;
    do {
      std::fputs("> ", stderr);
      if (!std::getline(std::cin, line)) {
        std::fputs("\n", stderr);  // what is said next does not stand behind the question
        return false;
      }
    } while (text::is_blank(text::replace_invalid_utf8(line)));
    prompt = {.row = row_++, .text = line, .ids = {}};
    return true;
  }
  std::string description() const override { return "the terminal"; }
  std::string sha256() const override { return {}; }
  bool interactive() const override { return true; }

 private:
  int64_t row_ = 0;
};

class DatasetPrompts : public PromptSource {
 public:
  explicit DatasetPrompts(const text::DatasetSpec& spec)
      : path_(spec.path), source_(text::open_dataset(spec)) {}
  bool next(Prompt& prompt) override {
    text::Sample sample;
    if (!source_->next(sample)) return false;
    prompt = {.row = sample.row, .text = std::move(sample.text), .ids = {}};
    return true;
  }
  std::string description() const override { return source_->description(); }
  std::string sha256() const override {
    Sha256 digest;
    for (const auto& file : text::dataset_files(path_)) digest.update(sha256_of_file(file));
    return digest.hex_digest();
  }
  std::map<std::string, int64_t> skipped() const override { return source_->skipped(); }

 private:
  std::filesystem::path path_;
  std::unique_ptr<text::TextSource> source_;
};

// The ids of a line, or what is wrong with it.
std::string read_ids(std::string_view line, std::vector<int32_t>& ids) {
  Json json;
  try {
    json = parse_json(line, "");
  } catch (const DataError&) {
    return "not JSON";
  }
  if (!json.is_object() || !json.contains("ids") || !json["ids"].is_array()) {
    return "no list \"ids\"";
  }
  ids.clear();
  for (const Json& id : json["ids"]) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() > std::numeric_limits<int32_t>::max()) {
      return "\"ids\" that are not all whole numbers from 0 on";
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids.empty() ? "no ids" : "";
}

class IdPrompts : public PromptSource {
 public:
  explicit IdPrompts(std::unique_ptr<TextFile> file) : file_(std::move(file)) {}
  bool next(Prompt& prompt) override {
    while (position_ < file_->text().size()) {
      const std::string_view line = next_line(file_->text(), position_);
      const int64_t row = row_++;
      const std::string problem = read_ids(line, prompt.ids);
      if (problem.empty()) {
        prompt.row = row;
        prompt.text.clear();
        return true;
      }
      ++skipped_[problem];
    }
    return false;
  }
  std::string description() const override { return "\"ids\" of " + file_->where(); }
  std::string sha256() const override { return sha256_of_text(file_->text()); }
  bool gives_ids() const override { return true; }
  std::map<std::string, int64_t> skipped() const override { return skipped_; }

 private:
  std::unique_ptr<TextFile> file_;
  size_t position_ = 0;
  int64_t row_ = 0;
  std::map<std::string, int64_t> skipped_;
};

// Whether a line of JSON has a list "ids", whatever is in it.
bool has_list_of_ids(std::string_view line) {
  try {
    const Json json = parse_json(line, "");
    return json.is_object() && json.contains("ids") && json["ids"].is_array();
  } catch (const DataError&) {
    return false;
  }
}

// A file of JSON lines that starts with ids, opened; null if it is none.
std::unique_ptr<TextFile> file_of_ids(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (name.find(".jsonl") == std::string::npos && name.find(".ndjson") == std::string::npos) {
    return nullptr;
  }
  if (!std::filesystem::is_regular_file(path)) return nullptr;
  auto file = std::make_unique<TextFile>(path);
  size_t position = 0;
  return has_list_of_ids(next_line(file->text(), position)) ? std::move(file) : nullptr;
}

}  // namespace

std::unique_ptr<PromptSource> single_prompt(std::string text) {
  return std::make_unique<SinglePrompt>(std::move(text));
}

std::unique_ptr<PromptSource> prompts_of_file(const std::string& argument) {
  text::DatasetSpec spec = text::DatasetSpec::parse("prompts=" + argument);
  spec.path = hub::find_dataset(spec.path.string(), hub::read_environment());
  if (spec.column.empty()) {
    if (auto file = file_of_ids(spec.path)) return std::make_unique<IdPrompts>(std::move(file));
  }
  return std::make_unique<DatasetPrompts>(spec);
}

std::unique_ptr<PromptSource> prompts_of_standard_input() {
  if (::isatty(STDIN_FILENO) == 1) return std::make_unique<TerminalPrompts>();
  std::string text{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  if (text.empty()) {
    throw UsageError("no prompt: give --prompt TEXT, --prompts FILE, or a text on standard input");
  }
  return single_prompt(std::move(text));
}

}  // namespace foregate
