BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE definitions (
	digest VARCHAR(64) NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (digest)
);
INSERT INTO "definitions" VALUES('20e372393eb466d5aa9f13531befe47d2e45f099ff7f6785da02474de63a59eb','{"flow":"golden","takes":"Question","gives":"Answer","nodes":{"think":{"is":"a function","takes":"Question","gives":"Answer"},"desk":{"is":"a Review","takes":"Answer","gives":"Answer"},"print_it":{"is":"a function","takes":"Answer","gives":"Answer"}},"edges":["edge desk -> print_it","edge think -> desk"],"starts":["think"],"ends":["print_it"],"types":{"Question":1,"Answer":1,"Failure":1,"Rejection":1}}');
CREATE TABLE facts (
	run VARCHAR NOT NULL, 
	seq INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	at DOUBLE NOT NULL, 
	task VARCHAR, 
	node VARCHAR, 
	body TEXT NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	PRIMARY KEY (run, seq), 
	FOREIGN KEY(run) REFERENCES runs (id)
)
 WITHOUT ROWID

;
INSERT INTO "facts" VALUES('9d9d3f7804ee',1,'run-started',1.7958135643899662495e+09,NULL,NULL,'{"flow":"golden","message":{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"},"thread":"t","key":"k","seed":0,"limit":null,"definition":"20e372393eb466d5aa9f13531befe47d2e45f099ff7f6785da02474de63a59eb","releases":{},"forked_from":null,"forked_before":null}','65dc0c9a6f1a88acb5f29cab1b479aae22b0c9f1236fb6908eb51dd1aecd9783');
INSERT INTO "facts" VALUES('9d9d3f7804ee',2,'task-started',1.7958135643899662495e+09,'think','think','{"attempt":1,"inputs":[{"$message":"1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017"}],"given":{}}','b23e810d64a0e2662a8f4e621d858a50beb5725859e1d2713237965d1507a51e');
INSERT INTO "facts" VALUES('9d9d3f7804ee',3,'task-finished',1.79581356439476299289e+09,'think','think','{"output":{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"}}','227e09b7e416caf10ada32c3429f5febdab94dc010007141edd193f7375ad412');
INSERT INTO "facts" VALUES('9d9d3f7804ee',4,'review-requested',1.79581356439476299289e+09,'desk','desk','{"message":{"$message":"bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34"}}','c565a4aa644d6f3627ebff0e0ce940e8e15b856c8d3d7e0cef62db69f7ed07ec');
INSERT INTO "facts" VALUES('9d9d3f7804ee',5,'run-suspended',1.79581356440898966785e+09,NULL,NULL,'{}','f3a2722e77d6bccab838161e68e36d31781632846cd4ac01320ac1a070a8d18a');
CREATE TABLE messages (
	digest VARCHAR(64) NOT NULL, 
	kind VARCHAR NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	origin TEXT, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "messages" VALUES('1ad2af4bc2c68e17f769cdec5c0f61edce8f593637ebc81911198258e4dac017','Question',1,'{"text":"gold"}',NULL);
INSERT INTO "messages" VALUES('bcc9325ac7a2c6c6d73f8116dc114e89c14159441438330299efcd00cfc32c34','Answer',1,'{"text":"GOLD"}',NULL);
CREATE TABLE pruned (
	run VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	at DOUBLE NOT NULL, 
	PRIMARY KEY (run)
);
CREATE TABLE runs (
	id VARCHAR NOT NULL, 
	flow VARCHAR NOT NULL, 
	thread VARCHAR, 
	"key" VARCHAR, 
	state VARCHAR NOT NULL, 
	asked INTEGER NOT NULL, 
	started DOUBLE NOT NULL, 
	updated DOUBLE NOT NULL, 
	definition VARCHAR NOT NULL, 
	forked_from VARCHAR, 
	head INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	fence INTEGER NOT NULL, 
	worker VARCHAR, 
	PRIMARY KEY (id), 
	CONSTRAINT runs_flow_key UNIQUE (flow, "key")
);
INSERT INTO "runs" VALUES('9d9d3f7804ee','golden','t','k','running',1,1.7958135643899662495e+09,1.79581356440898966785e+09,'20e372393eb466d5aa9f13531befe47d2e45f099ff7f6785da02474de63a59eb',NULL,5,'f3a2722e77d6bccab838161e68e36d31781632846cd4ac01320ac1a070a8d18a',1,'3c5b7baef2b242c9');
CREATE TABLE workers (
	id VARCHAR NOT NULL, 
	place VARCHAR NOT NULL, 
	PRIMARY KEY (id)
);
CREATE INDEX runs_flow_state ON runs (flow, state);
CREATE INDEX runs_thread ON runs (thread);
COMMIT;
