#include "hub/listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "hub/errors.h"
#include "hub/url.h"

namespace foregate::hub {
namespace {

constexpr size_t kLargestAnswer = 64 << 20;
constexpr int kMostPages = 10'000;
constexpr int64_t kLargestFile = int64_t{1} << 50;

class TextSink : public Sink {
 public:
  void start(const Response&) override { text.clear(); }
  void append(std::span<const std::byte> bytes) override {
    if (text.size() + bytes.size() > kLargestAnswer) {
      throw DataError("the hub's answer is larger than any list of files; check HF_ENDPOINT");
    }
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  std::string text;
};

struct Page {
  Json json;
  std::string next;  ///< address of the page behind it, or empty
};

/// The address with rel="next" of a Link header (RFC 8288).
std::string next_link(const Headers& headers, const std::string& url) {
  const auto found = headers.find("link");
  if (found == headers.end()) return "";
  const std::string& link = found->second;
  const size_t relation = link.find("rel=\"next\"");
  const size_t end = link.rfind('>', relation);
  const size_t begin = link.rfind('<', end);
  if (relation == std::string::npos || end == std::string::npos || begin == std::string::npos) {
    return "";
  }
  return follow(url, link.substr(begin + 1, end - begin - 1));
}

Page get_page(HttpClient& client, const Request& request) {
  Backoff backoff;
  while (true) {
    TextSink sink;
    std::string problem;
    Headers headers;
    try {
      const Response response = client.get(request.url, 0, sink);
      if (response.status / 100 == 2) {
        return {parse_json(sink.text, shown(request.url)),
                next_link(response.headers, request.url)};
      }
      if (!is_temporary(response.status)) {
        throw_refusal(response, request, client.environment());
      }
      problem = describe(response, request);
      headers = response.headers;
    } catch (const ConnectionError& error) {
      problem = error.what();
    }
    wait_or_give_up(backoff, problem, headers, client);
  }
}

bool is_hexadecimal(const std::string& text, size_t length) {
  return text.size() == length && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

/// Whether every part is a name: no part empty, ".", "..", and nothing a path cannot hold.
bool stays_inside(const std::string& path) {
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.find('\0') != std::string::npos) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

RemoteFile file_of(const JsonReader& entry) {
  RemoteFile file;
  file.path = entry.string("path");
  if (!stays_inside(file.path)) entry.fail("path", "a path inside the repository");
  const bool is_lfs = entry.has("lfs");
  const JsonReader source = is_lfs ? entry.object("lfs") : entry;
  file.size = static_cast<uint64_t>(source.integer("size", 0, kLargestFile));
  file.hash = source.string("oid");
  if (!is_hexadecimal(file.hash, is_lfs ? 64 : 40)) {
    source.fail("oid", is_lfs ? "64 hexadecimal digits" : "40 hexadecimal digits");
  }
  return file;
}

}  // namespace

bool is_commit(const std::string& text) {
  return is_hexadecimal(text, 40);
}

Listing list_repository(HttpClient& client, const RepoId& repo, const std::string& revision) {
  const std::string api =
      fmt::format("{}/api/{}/{}", client.environment().endpoint,
                  repo.kind == RepoKind::kModel ? "models" : "datasets", escape(repo.name, true));
  Request request{repo, revision, fmt::format("{}/revision/{}", api, escape(revision))};
  const Page info = get_page(client, request);
  Listing listing;
  listing.commit = JsonReader(info.json, shown(request.url)).string("sha");
  if (!is_commit(listing.commit)) {
    throw DataError(fmt::format("{}: sha is '{}'; expected a commit, 40 hexadecimal digits",
                                shown(request.url), listing.commit));
  }
  // The files of that very commit, whatever happens to the branch meanwhile.
  request.url = fmt::format("{}/tree/{}?recursive=true", api, listing.commit);
  for (int page_number = 0; !request.url.empty() && page_number < kMostPages; ++page_number) {
    const Page page = get_page(client, request);
    if (!page.json.is_array()) {
      throw DataError(fmt::format("{}: expected a list of files", shown(request.url)));
    }
    for (const Json& json : page.json) {
      const JsonReader entry(json, shown(request.url));
      if (entry.string("type") == "file") listing.files.push_back(file_of(entry));
    }
    request.url = page.next;
  }
  return listing;
}

}  // namespace foregate::hub
