#include "hub/errors.h"

#include <fmt/format.h>

#include <ctime>

#include "base/error.h"
#include "base/number_text.h"
#include "hub/url.h"

namespace foregate::hub {
namespace {

std::string header(const Response& response, const char* name) {
  const auto found = response.headers.find(name);
  return found == response.headers.end() ? "" : found->second;
}

/// How to come by a token, or what to do about the one there is.
std::string token_advice(const Environment& environment) {
  return environment.token.empty()
             ? "set HF_TOKEN to a token of the hub, or log in with `hf auth login`"
             : "check that the token (HF_TOKEN or the token file) is valid and may read it";
}

std::string page_of(const RepoId& repo, const Environment& environment) {
  return environment.endpoint + "/" + repo.prefix() + repo.name;
}

/// One line of what the server says, for people; it may be anything.
std::string server_words(const Response& response) {
  std::string words = header(response, "x-error-message");
  if (words.empty()) return "";
  for (char& c : words) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return " (" + words.substr(0, 200) + ")";
}

std::string missing_repo(const RepoId& repo, const Environment& environment) {
  const bool is_model = repo.kind == RepoKind::kModel;
  return fmt::format("{} has no {}, or it is private; check the name{}, and for a private one {}",
                     environment.endpoint, repo.description(),
                     is_model ? " (of a dataset: --dataset)" : " (of a model: no --dataset)",
                     token_advice(environment));
}

}  // namespace

void throw_refusal(const Response& response, const Request& request,
                   const Environment& environment) {
  const std::string code = header(response, "x-error-code");
  const RepoId& repo = request.repo;
  if (code == "GatedRepo") {
    throw EnvironmentError(fmt::format("{} is gated: ask for access at {}, then {}{}",
                                       repo.description(), page_of(repo, environment),
                                       token_advice(environment), server_words(response)));
  }
  if (code == "RevisionNotFound") {
    throw EnvironmentError(
        fmt::format("{} has no revision '{}'; expected a branch, a tag or a commit, see {}",
                    repo.description(), request.revision, page_of(repo, environment)));
  }
  if (code == "EntryNotFound") {
    throw EnvironmentError(
        fmt::format("{} is listed but not there; run the same command again", shown(request.url)));
  }
  const bool refused_token =
      header(response, "x-error-message").find("credentials") != std::string::npos;
  if (response.status == 401 && refused_token && !environment.token.empty()) {
    throw EnvironmentError(
        fmt::format("{} refuses the token; make a new one in the hub's settings and set HF_TOKEN",
                    environment.endpoint));
  }
  // To whoever may not know, the hub answers 401 for what is private and for what is not there.
  if (code == "RepoNotFound" || response.status == 404 || response.status == 401) {
    throw EnvironmentError(missing_repo(repo, environment));
  }
  if (response.status == 403) {
    throw EnvironmentError(fmt::format("{} may not be read{}; {}", repo.description(),
                                       server_words(response), token_advice(environment)));
  }
  throw EnvironmentError(fmt::format("{} answers {}{}; check HF_ENDPOINT and the revision",
                                     shown(request.url), response.status, server_words(response)));
}

void wait_or_give_up(Backoff& backoff, const std::string& problem, const Headers& headers,
                     const HttpClient& client) {
  const auto requested = requested_wait(headers, std::time(nullptr));
  const auto wait = backoff.next(requested);
  if (!wait && requested > Backoff::kLongestWait) {
    throw EnvironmentError(fmt::format(
        "{}; the server asks to wait {}: run the same command again then, it continues (with a "
        "token in HF_TOKEN the limits are higher)",
        problem, clock_time(static_cast<double>(requested->count()))));
  }
  if (!wait) {
    throw EnvironmentError(
        fmt::format("{}; given up after {} tries in a row. Check the network, and run the same "
                    "command again: it continues",
                    problem, backoff.failures()));
  }
  client.log().warning("{}; trying again in {:.0f} s ({} of {})", problem,
                       static_cast<double>(wait->count()) / 1000, backoff.failures(),
                       Backoff::kMaxTries - 1);
  wait_for(*wait, client.stop());
  if (client.stop().stop_requested()) throw Stopped();
}

std::string describe(const Response& response, const Request& request) {
  const char* meaning = response.status == 429   ? " (too many requests)"
                        : response.status == 503 ? " (overloaded or in maintenance)"
                        : response.status >= 500 ? " (server error)"
                                                 : "";
  return fmt::format("{} answers {}{}", shown(request.url), response.status, meaning);
}

}  // namespace foregate::hub
