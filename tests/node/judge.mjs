// What programs that nobody here wrote say of what we made: one JSON object in, one list of verdicts out.
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import roadLabs from "@road-labs/ocmf";
import noble from "@road-labs/ocmf-crypto-noble";
import sigstoreCheckpoint from "@sigstore/verify/dist/tlog/checkpoint.js";
import sigstoreMerkle from "@sigstore/verify/dist/tlog/merkle.js";
import transmute from "@transmute/rfc9162";
import { coseVerify } from "cose-kit";
import { importJWK } from "jose";

const { Verifier } = roadLabs;
const { Crypto } = noble;
const { RFC9162 } = transmute;
const bytes = (hex) => new Uint8Array(Buffer.from(hex, "hex"));

async function ocmf({ record, spki }) {
  const crypto = new Crypto();
  const key = await crypto.decodeEcPublicKey(bytes(spki), "spki-der");
  return (await new Verifier(crypto).parseAndVerify(record, key)).verified;
}

async function sign1({ message, jwk, aad }) {
  return (await coseVerify(bytes(message), await importJWK(jwk, jwk.alg), bytes(aad))).isValid;
}

async function inclusion({ root, leaf, index, size, path }) {
  const proof = { log_id: "", tree_size: size, leaf_index: index, inclusion_path: path.map(bytes) };
  return RFC9162.verifyInclusionProof(bytes(root), bytes(leaf), proof);
}

async function consistency({ old, oldRoot, size, root, path }) {
  const proof = { log_id: "", tree_size_1: old, tree_size_2: size, consistency_path: path.map(bytes) };
  return RFC9162.verifyConsistencyProof(bytes(oldRoot), bytes(root), proof);
}

async function logged({ checkpoint, origin, keyId, jwk, entry, index, path }) {
  const publicKey = createPublicKey({ key: jwk, format: "jwk" });
  const log = { logID: Buffer.from(keyId, "hex"), publicKey, baseURL: origin };
  const hashes = path.map((each) => Buffer.from(each, "hex"));
  const inclusionProof = { checkpoint: { envelope: checkpoint }, logIndex: index, hashes };
  const claimed = { inclusionProof, canonicalizedBody: Buffer.from(entry, "hex") };
  sigstoreMerkle.verifyMerkleInclusion(claimed, sigstoreCheckpoint.verifyCheckpoint(claimed, [log]));
  return true;
}

const judges = { ocmf, sign1, inclusion, consistency, logged };
const verdicts = [];
for (const [what, asked] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    verdicts.push((await judges[what](asked)) === true);
  } catch (error) {
    verdicts.push(`refused: ${error.message}`);
  }
}
console.log(JSON.stringify(verdicts));
